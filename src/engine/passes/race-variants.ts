import path from 'node:path'
import type { Model } from '../ir/model.ts'
import { saveModel } from '../onnx/index.ts'
import type { SearchTrial } from './findings.ts'
import type { PassContext, SessionTiming } from './pass.ts'
import { timeModels } from './tune/time-sessions.ts'

interface RaceOptions {
  /** Milliseconds of interleaved runs, for all of them together. */
  readonly budgetMs: number
  /** Of the file names in the work folder. */
  readonly prefix: string
}

/**
 * Times variants of a model against it, interleaved on this host. The job measures what wins for longer.
 * @returns the model's own timing first
 */
export async function raceVariants(
  before: Model,
  variants: readonly Model[],
  { budgetMs, prefix }: RaceOptions,
  context: PassContext,
): Promise<readonly SessionTiming[]> {
  const { signal, target, workDir } = context
  const session = target.threads === undefined ? {} : { intraOpThreads: target.threads }
  const models: { path: string; session: typeof session }[] = []
  for (const [index, model] of [before, ...variants].entries()) {
    const file = path.join(workDir, `${prefix}-${index}.onnx`)
    await saveModel(model, file)
    models.push({ path: file, session })
  }
  return timeModels(models, { budgetMs, signal, context })
}

/** A timing as a factor over the first one of its race. */
export function asSpeedup(
  timing: SessionTiming | undefined,
  first: SessionTiming | undefined,
): Pick<SearchTrial, 'speedup' | 'ci95'> {
  if (timing === undefined || first === undefined) return { speedup: null, ci95: null }
  const { low, high } = timing.speedup
  return { speedup: first.medianMs / timing.medianMs, ci95: [low, high] }
}
