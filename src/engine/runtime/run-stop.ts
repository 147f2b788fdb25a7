import { setImmediate } from 'node:timers/promises'
import { HastenError } from '../../errors.ts'
import type { RunOptions } from './port.ts'

/** Watches what may end a run early: an abort, a deadline. */
export interface RunStop {
  /** Aborted with the HastenError that the run must reject with: `run_canceled` or `run_deadline`. */
  readonly signal: AbortSignal
  /** Throws that error; reads the clock itself, as no timer fires while native code holds the event loop. */
  throwIfEnded(): void
  /** Stops the clock and lets go of the caller's signal. */
  dispose(): void
}

/** Throws `run_canceled` or `run_deadline` when a run is over before it begins. */
export function throwIfOver({ signal, deadlineMs }: RunOptions): void {
  if (signal?.aborted === true) throw canceledError(signal)
  if (deadlineMs !== undefined && deadlineMs <= 0) throw deadlineError(deadlineMs)
}

/** Starts the deadline's clock; dispose it when the run has ended. */
export function watchRun({ signal, deadlineMs }: RunOptions): RunStop {
  const controller = new AbortController()
  const cancel = (): void => controller.abort(canceledError(signal))
  const expire = (): void => controller.abort(deadlineError(deadlineMs))
  if (signal?.aborted === true) cancel()
  else if (deadlineMs !== undefined && deadlineMs <= 0) expire()
  signal?.addEventListener('abort', cancel, { once: true })
  const endsAt = deadlineMs === undefined ? Infinity : performance.now() + deadlineMs
  // A timer of more than 2^31 ms would fire at once.
  const timer = deadlineMs === undefined ? undefined : setTimeout(expire, Math.min(deadlineMs, 0x7fffffff))
  return {
    signal: controller.signal,
    throwIfEnded: () => {
      if (performance.now() > endsAt && !controller.signal.aborted) expire()
      controller.signal.throwIfAborted()
    },
    dispose: () => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', cancel)
    },
  }
}

/**
 * Lets timers and messages that fell due while native code held the event loop be delivered, an abort among them.
 */
export function turnEventLoop(): Promise<void> {
  return setImmediate()
}

/** A function, so that the answer is not narrowed away across an await. */
export function isAborted(signal: AbortSignal | undefined): boolean {
  return signal?.aborted === true
}

/** The error of an operation that its caller aborted. */
export function canceledError(signal?: AbortSignal): HastenError {
  return new HastenError('run_canceled', 'the caller canceled it', { cause: signal?.reason })
}

function deadlineError(deadlineMs: number | undefined): HastenError {
  return new HastenError('run_deadline', `the run took longer than its deadline of ${deadlineMs} ms`)
}
