import { fork, type ChildProcess } from 'node:child_process'
import { extname, join } from 'node:path'
import { deserializeError, HastenError } from '../../errors.ts'
import type { MeasureMessage, MeasureRequest, MeasureResults } from './protocol.ts'

export interface ForkOptions {
  readonly signal?: AbortSignal | undefined
  /** Milliseconds after which the child is killed. */
  readonly timeoutMs: number
  readonly onProgress?: ((done: number, total: number) => void) | undefined
}

/** Beside this file, in source (.ts) as in the build (.js). */
const childFile = join(import.meta.dirname, `child${extname(import.meta.filename)}`)

/**
 * Does one request in a process of its own, so that a crash, a leak or another model's memory can't reach this one.
 * @throws HastenError what the child failed with; `measurement_failed` when it crashed or took too long; the signal's
 * reason (or `job_canceled`) when aborted
 */
export async function measureInChild<K extends MeasureRequest['kind']>(
  request: Extract<MeasureRequest, { kind: K }>,
  options: ForkOptions,
): Promise<MeasureResults[K]> {
  if (options.signal?.aborted === true) throw abortReason(options.signal)
  // `advanced` carries typed arrays; the flags of this process (a debugger's port, a test runner's loader) stay here.
  const child = fork(childFile, [], { serialization: 'advanced', execArgv: ['--expose-gc'] })
  const stop = watchLimits(child, options)
  try {
    return (await converse(child, request, options)) as MeasureResults[K]
  } catch (error) {
    throw stop.reason() ?? error
  } finally {
    stop.dispose()
    child.kill('SIGKILL')
  }
}

function converse(child: ChildProcess, request: MeasureRequest, { onProgress }: ForkOptions): Promise<unknown> {
  return new Promise((resolve, reject) => {
    child.on('message', (message: MeasureMessage) => {
      if (message.kind === 'progress') onProgress?.(message.done, message.total)
      if (message.kind === 'done') resolve(message.result)
      if (message.kind === 'failed') reject(deserializeError(message.error))
    })
    child.once('error', (cause) => reject(crashError(`could not be started: ${cause.message}`, cause)))
    child.once('exit', (code, signal) => reject(crashError(`ended early (${signal ?? `exit code ${code}`})`)))
    child.send(request, (error) => {
      if (error !== null) reject(crashError(`could not be reached: ${error.message}`, error))
    })
  })
}

function watchLimits(child: ChildProcess, { signal, timeoutMs }: ForkOptions) {
  let reason: HastenError | undefined
  const end = (error: HastenError) => {
    reason ??= error
    child.kill('SIGKILL')
  }
  const onAbort = () => signal !== undefined && end(abortReason(signal))
  signal?.addEventListener('abort', onAbort, { once: true })
  const timer = setTimeout(() => {
    end(new HastenError('measurement_failed', `measuring took longer than ${Math.round(timeoutMs / 1000)} s`))
  }, timeoutMs)
  return {
    reason: () => reason,
    dispose: () => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', onAbort)
    },
  }
}

function abortReason({ reason }: AbortSignal): HastenError {
  return reason instanceof HastenError ? reason : new HastenError('job_canceled', 'canceled while measuring')
}

function crashError(detail: string, cause?: unknown): HastenError {
  return new HastenError('measurement_failed', `the measuring process ${detail}`, { cause })
}
