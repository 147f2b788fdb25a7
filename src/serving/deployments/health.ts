import { HastenError, serializeError } from '../../errors.ts'
import type { Slot } from './slot.ts'

/** A run that takes longer has hung: the lane looks busy and answers nobody. */
const stallMs = 120_000
/** Failed runs in a row after which the model is asked itself. */
const suspectFailures = 5

/**
 * Looks at the runs of a version. Failures alone prove nothing, since requests may be to blame: after several
 * in a row, the version is probed as when it was loaded, and that decides.
 */
export function checkHealth({ loaded, health }: Slot, changed: () => void): void {
  if (loaded === undefined) return
  const { oldestRunMs, failuresInRow } = loaded.lane.state()
  if (oldestRunMs > stallMs) {
    const detail = `a run has not returned for ${Math.round(oldestRunMs / 1000)} s`
    health.error = serializeError(new HastenError('run_failed', detail))
    return
  }
  const isSuspect = failuresInRow >= suspectFailures && failuresInRow !== health.excused
  if (health.probing || !(isSuspect || health.error !== undefined)) return
  health.probing = true
  void loaded
    .probe()
    .then(
      () => Object.assign(health, { error: undefined, excused: failuresInRow }),
      (error: unknown) => (health.error = serializeError(error)),
    )
    .finally(() => {
      health.probing = false
      changed()
    })
}
