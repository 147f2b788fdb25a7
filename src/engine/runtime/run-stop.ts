import { HastenError } from '../../errors.ts'
import type { RunOptions } from './port.ts'

/** Watches what may end a run early: an abort, a deadline. */
export interface RunStop {
  /** Aborted with the HastenError that the run must reject with: `run_canceled` or `run_deadline`. */
  readonly signal: AbortSignal
  /** Stops the clock and lets go of the caller's signal. */
  dispose(): void
}

/** Starts the deadline's clock; dispose it when the run has ended. */
export function watchRun({ signal, deadlineMs }: RunOptions): RunStop {
  const controller = new AbortController()
  const cancel = (): void => controller.abort(canceledError(signal))
  const expire = (): void => controller.abort(deadlineError(deadlineMs))
  if (signal?.aborted === true) cancel()
  else if (deadlineMs !== undefined && deadlineMs <= 0) expire()
  signal?.addEventListener('abort', cancel, { once: true })
  // A timer of more than 2^31 ms would fire at once.
  const timer = deadlineMs === undefined ? undefined : setTimeout(expire, Math.min(deadlineMs, 0x7fffffff))
  return {
    signal: controller.signal,
    dispose: () => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', cancel)
    },
  }
}

/** The error of an operation that its caller aborted. */
export function canceledError(signal?: AbortSignal): HastenError {
  return new HastenError('run_canceled', 'the caller canceled it', { cause: signal?.reason })
}

function deadlineError(deadlineMs: number | undefined): HastenError {
  return new HastenError('run_deadline', `the run took longer than its deadline of ${deadlineMs} ms`)
}
