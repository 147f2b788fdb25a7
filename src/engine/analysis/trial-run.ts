import { HastenError } from '../../errors.ts'
import { generateInputs } from '../data/generate.ts'
import { isViewable, viewOf, type Tensor } from '../ir/tensor.ts'
import type { Feeds, RunOptions, Runtime, Session, TensorInfo } from '../runtime/port.ts'
import type { SessionOptions } from '../runtime/options.ts'
import { inputGuesses } from './input-guesses.ts'

export interface TrialOptions {
  /** Milliseconds for one run. */
  readonly deadlineMs: number
  readonly session?: SessionOptions
  readonly signal?: AbortSignal
  /** Of the generated inputs; 0 by default. */
  readonly seed?: number
  /** Real inputs to run on instead of generated ones. */
  readonly feeds?: Feeds
}

interface TrialTensor {
  readonly name: string
  readonly dtype: string
  readonly dims: readonly number[]
}

/** What one run showed. */
export interface TrialReport {
  readonly providers: readonly string[]
  readonly load_ms: number
  readonly run_ms: number
  /** The inputs that the model ran on. */
  readonly inputs: readonly TrialTensor[]
  readonly outputs: readonly TrialTensor[]
  /** Outputs that had NaN or infinities: often a sign of inputs out of range, sometimes of a broken model. */
  readonly non_finite: readonly string[]
}

/**
 * Loads a model and runs it once, on generated inputs if it gets no others. Sizes that the model leaves open are
 * guessed; where it does not run on the likeliest, other guesses follow. Meant to run in a memory-capped process.
 * @throws HastenError `model_load_failed`; `model_run_failed` when it fails on every guess or does not end in time;
 * `run_canceled`; `model_unsafe` when an input would be too large
 */
export async function trialRun(file: string, runtime: Runtime, options: TrialOptions): Promise<TrialReport> {
  const { session: settings, signal, deadlineMs } = options
  const abort = signal === undefined ? {} : { signal }
  const start = performance.now()
  const session = await runtime.createSession({ path: file }, { ...abort, ...(settings && { session: settings }) })
  const load_ms = performance.now() - start
  try {
    const run = await firstThatRuns(session, feedsToTry(session.inputs, options), { ...abort, deadlineMs })
    return {
      providers: session.providers,
      load_ms,
      run_ms: run.ms,
      inputs: describe(run.feeds),
      outputs: describe(run.outputs),
      non_finite: Object.entries(run.outputs).flatMap(([name, tensor]) => (hasNonFinite(tensor) ? [name] : [])),
    }
  } finally {
    await session.release()
  }
}

function* feedsToTry(inputs: readonly TensorInfo[], { feeds, seed = 0 }: TrialOptions): Iterable<Feeds> {
  if (feeds !== undefined) yield feeds
  else for (const guess of inputGuesses(inputs)) yield generateInputs(guess, { batch: 1, seed })
}

async function firstThatRuns(session: Session, tries: Iterable<Feeds>, options: RunOptions) {
  let failure: HastenError | undefined
  for (const feeds of tries) {
    const start = performance.now()
    try {
      const outputs = await session.run(feeds, options)
      return { feeds, outputs, ms: performance.now() - start }
    } catch (error) {
      if (!(error instanceof HastenError) || error.code === 'run_canceled') throw error
      // The first guess is the likeliest, so its error says most.
      failure ??= runFailed(feeds, error)
      if (error.code === 'run_deadline') break
    }
  }
  throw failure ?? new HastenError('model_run_failed', 'there were no inputs to run the model on')
}

function runFailed(feeds: Feeds, error: HastenError): HastenError {
  const dims = Object.entries(feeds).map(([name, tensor]) => `${name} [${tensor.dims.join(', ')}]`)
  return new HastenError('model_run_failed', `on inputs ${dims.join(', ')}: ${error.message}`, { cause: error })
}

function describe(tensors: Feeds): TrialTensor[] {
  return Object.entries(tensors).map(([name, { dtype, dims }]) => ({ name, dtype, dims }))
}

const floatDtypes = new Set(['float32', 'float64'])

function hasNonFinite(tensor: Tensor): boolean {
  if (!floatDtypes.has(tensor.dtype) || !isViewable(tensor.dtype)) return false
  return Array.prototype.some.call(viewOf(tensor), (value: number) => !Number.isFinite(value))
}
