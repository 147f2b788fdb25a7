import { HastenError } from '../../errors.ts'
import { generateInputs } from '../data/generate.ts'
import { isViewable, viewOf, type Tensor } from '../ir/tensor.ts'
import type { Feeds, Runtime, Session } from '../runtime/port.ts'
import type { SessionOptions } from '../runtime/options.ts'

export interface TrialOptions {
  /** Milliseconds for the one run. */
  readonly deadlineMs: number
  readonly session?: SessionOptions
  readonly signal?: AbortSignal
  /** Of the generated inputs; 0 by default. */
  readonly seed?: number
}

/** What one run on generated inputs showed. */
export interface TrialReport {
  readonly providers: readonly string[]
  readonly load_ms: number
  readonly run_ms: number
  readonly outputs: readonly { readonly name: string; readonly dtype: string; readonly dims: readonly number[] }[]
  /** Outputs that had NaN or infinities: often a sign of inputs out of range, sometimes of a broken model. */
  readonly non_finite: readonly string[]
}

/**
 * Loads a model and runs it once on generated inputs. Meant to run in a memory-capped process.
 * @throws HastenError `model_load_failed`; `model_run_failed` when it fails or does not end in time; `run_canceled`;
 * `model_unsafe` when an input would be too large
 */
export async function trialRun(file: string, runtime: Runtime, options: TrialOptions): Promise<TrialReport> {
  const { session: settings, signal, deadlineMs, seed = 0 } = options
  const abort = signal === undefined ? {} : { signal }
  const start = performance.now()
  const session = await runtime.createSession({ path: file }, { ...abort, ...(settings && { session: settings }) })
  const loaded = performance.now()
  try {
    const feeds = generateInputs(session.inputs, { batch: 1, seed })
    const begun = performance.now()
    const outputs = await runOnce(session, feeds, { ...abort, deadlineMs })
    return {
      providers: session.providers,
      load_ms: loaded - start,
      run_ms: performance.now() - begun,
      outputs: Object.entries(outputs).map(([name, { dtype, dims }]) => ({ name, dtype, dims })),
      non_finite: Object.entries(outputs).flatMap(([name, tensor]) => (hasNonFinite(tensor) ? [name] : [])),
    }
  } finally {
    await session.release()
  }
}

async function runOnce(session: Session, feeds: Feeds, options: { signal?: AbortSignal; deadlineMs: number }) {
  try {
    return await session.run(feeds, options)
  } catch (error) {
    if (!(error instanceof HastenError) || error.code === 'run_canceled') throw error
    const dims = Object.entries(feeds).map(([name, tensor]) => `${name} [${tensor.dims.join(', ')}]`)
    throw new HastenError('model_run_failed', `on generated inputs ${dims.join(', ')}: ${error.message}`, {
      cause: error,
    })
  }
}

const floatDtypes = new Set(['float32', 'float64'])

function hasNonFinite(tensor: Tensor): boolean {
  if (!floatDtypes.has(tensor.dtype) || !isViewable(tensor.dtype)) return false
  return Array.prototype.some.call(viewOf(tensor), (value: number) => !Number.isFinite(value))
}
