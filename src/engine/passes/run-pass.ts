import { HastenError, messageOf, type ErrorCode } from '../../errors.ts'
import type { Model } from '../ir/model.ts'
import { assertValid } from '../ops/index.ts'
import type { PassName } from './options/index.ts'
import type { NextStage, Pass, PassContext, PassOptions, PassResult } from './pass.ts'

/** Errors that say what a caller can do about them; every other one is the pass's own failure. */
const callerErrors = new Set<ErrorCode>([
  'recipe_invalid',
  'dataset_needed',
  'dataset_invalid',
  'dataset_mismatch',
  'storage_full',
  'run_canceled',
  'job_canceled',
  'job_deadline',
  'pass_failed',
  'model_out_of_memory',
  'not_differentiable',
  'training_diverged',
  'teacher_mismatch',
])

/**
 * Runs a pass, or its first stage, and checks the model it gives.
 * @throws HastenError `pass_failed`, or an error that the caller can do something about
 */
export async function beginPass<N extends PassName>(
  pass: Pass<N>,
  model: Model,
  options: PassOptions<N>,
  context: PassContext,
): Promise<PassResult | NextStage> {
  const outcome = await guard(pass.name, context, () => pass.run(model, options, context))
  if (!('stage' in outcome)) return outcome
  return { stage: outcome.stage, run: () => guard(pass.name, context, outcome.run) }
}

/** Runs all stages of a pass. */
export async function runPass<N extends PassName>(
  pass: Pass<N>,
  model: Model,
  options: PassOptions<N>,
  context: PassContext,
): Promise<PassResult> {
  const outcome = await beginPass(pass, model, options, context)
  return 'stage' in outcome ? outcome.run() : outcome
}

async function guard<T extends PassResult | NextStage>(
  name: PassName,
  { signal }: PassContext,
  work: () => Promise<T>,
): Promise<T> {
  signal.throwIfAborted()
  try {
    const outcome = await work()
    if ('model' in outcome && outcome.modified) assertValid(outcome.model, 'pass_failed')
    return outcome
  } catch (error) {
    if (signal.aborted || (error instanceof HastenError && callerErrors.has(error.code))) throw error
    throw new HastenError('pass_failed', `pass '${name}': ${messageOf(error)}`, { cause: error })
  }
}
