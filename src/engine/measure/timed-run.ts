import { HastenError } from '../../errors.ts'
import type { Feeds, Session } from '../runtime/port.ts'
import type { TimedRun } from './interleave.ts'

const nanosPerMs = 1e6

/**
 * A session as a function that runs it once and says how long that took. Outputs are borrowed, so neither copying nor
 * collecting them is measured.
 *
 * The clock is read around the asynchronous call. Nothing else is on this process's event loop, so the way there and
 * back is a constant: a one-element model takes 0.09 ms this way, against 0.06 ms through the synchronous binding. Every
 * copy pays it, as a served model does; it can only draw the ratio of very fast models towards 1.
 */
export function timeSession(session: Session, inputs: readonly Feeds[]): TimedRun {
  if (inputs.length === 0) throw new HastenError('measurement_failed', 'there are no inputs to measure with')
  return async (index) => {
    const feeds = inputs[index % inputs.length] ?? {}
    const began = process.hrtime.bigint()
    const outputs = await session.runBorrowed(feeds)
    const elapsed = process.hrtime.bigint() - began
    outputs.release()
    return Number(elapsed) / nanosPerMs
  }
}
