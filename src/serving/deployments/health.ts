import { HastenError, serializeError } from '../../errors.ts'
import type { LoadedVersion } from './load-version.ts'
import { isWrong, type Slot } from './slot.ts'
import { createTurns, type Turns } from './turns.ts'

/** A run that takes longer has hung: the lane looks busy and answers nobody. */
const stallMs = 120_000
/** Failed runs in a row after which the model is asked itself. */
const suspectFailures = 5
/** One that is never idle is looked at all the same, this much later. */
const busyFactor = 5

export interface HealthChecks {
  /**
   * Looks at the runs of a version. Failures alone prove nothing, since requests may be to blame: after several
   * in a row, the version is probed as when it was loaded, and that decides. While nobody asks, it is probed now and
   * then, one version at a time, since these probes take the cores of requests.
   * @returns the probe, if it takes one
   */
  look(slot: Slot): Promise<void> | undefined
}

/** @param changed called when a version has gone wrong, or is right again */
export function createHealthChecks(changed: () => void): HealthChecks {
  const turns = createTurns()
  return {
    look(slot) {
      const { loaded, health } = slot
      if (loaded === undefined) return undefined
      const { oldestRunMs, failuresInRow } = loaded.lane.state()
      if (oldestRunMs > stallMs) {
        const detail = `a run has not returned for ${Math.round(oldestRunMs / 1000)} s`
        health.error = serializeError(new HastenError('run_failed', detail))
        return undefined
      }
      if (health.probing) return undefined
      const isSuspect = failuresInRow >= suspectFailures && failuresInRow !== health.excused
      if (isSuspect || health.error !== undefined) return probe(slot, loaded, changed)
      return isDue(slot) ? probeInTurn(slot, loaded, turns, changed) : undefined
    },
  }
}

async function probeInTurn(slot: Slot, loaded: LoadedVersion, turns: Turns, changed: () => void): Promise<void> {
  slot.health.probing = true
  const done = await turns.take()
  slot.health.probing = false
  // Meanwhile it may have been unloaded, or requests have come.
  if (slot.loaded === loaded && isDue(slot)) await probe(slot, loaded, changed)
  done()
}

async function probe(slot: Slot, loaded: LoadedVersion, changed: () => void): Promise<void> {
  const { health } = slot
  const before = health.error
  const { failuresInRow } = loaded.lane.state()
  health.probing = true
  try {
    await loaded.probe()
    Object.assign(health, { error: undefined, excused: failuresInRow, seenAt: performance.now() })
  } catch (error) {
    health.error = serializeError(error)
    if (isWrong(slot)) loaded.distrust()
  }
  health.probing = false
  if (before?.detail !== health.error?.detail) changed()
}

/** It has not been seen for so long that what it answers is to be looked at. */
function isDue({ loaded, gate, health }: Slot): boolean {
  const { goldenCheckMs = 0 } = loaded?.options ?? {}
  if (goldenCheckMs === 0) return false
  const waitMs = gate?.busy() === 0 ? goldenCheckMs : goldenCheckMs * busyFactor
  return performance.now() - health.seenAt >= waitMs
}
