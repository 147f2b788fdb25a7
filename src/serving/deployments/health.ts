import { HastenError, serializeError } from '../../errors.ts'
import { isWrong, type Slot } from './slot.ts'

/** A run that takes longer has hung: the lane looks busy and answers nobody. */
const stallMs = 120_000
/** Failed runs in a row after which the model is asked itself. */
const suspectFailures = 5

/** One that is never idle is looked at all the same, this much later. */
const busyFactor = 5

/**
 * Looks at the runs of a version. Failures alone prove nothing, since requests may be to blame: after several
 * in a row, the version is probed as when it was loaded, and that decides. While nobody asks, it is probed now and then.
 */
export function checkHealth(slot: Slot, changed: () => void): void {
  const { loaded, health } = slot
  if (loaded === undefined) return
  const { oldestRunMs, failuresInRow } = loaded.lane.state()
  if (oldestRunMs > stallMs) {
    const detail = `a run has not returned for ${Math.round(oldestRunMs / 1000)} s`
    health.error = serializeError(new HastenError('run_failed', detail))
    return
  }
  const isSuspect = failuresInRow >= suspectFailures && failuresInRow !== health.excused
  if (health.probing || !(isSuspect || health.error !== undefined || isDue(slot))) return
  health.probing = true
  void loaded
    .probe()
    .then(
      () => Object.assign(health, { error: undefined, excused: failuresInRow, seenAt: performance.now() }),
      (error: unknown) => {
        health.error = serializeError(error)
        if (isWrong(slot)) loaded.distrust()
      },
    )
    .finally(() => {
      health.probing = false
      changed()
    })
}

/** It has not been seen for so long that what it answers is to be looked at. */
function isDue({ loaded, gate, health }: Slot): boolean {
  const { goldenCheckMs = 0 } = loaded?.options ?? {}
  if (goldenCheckMs === 0) return false
  const waitMs = gate?.busy() === 0 ? goldenCheckMs : goldenCheckMs * busyFactor
  return performance.now() - health.seenAt >= waitMs
}
