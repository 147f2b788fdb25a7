import path from 'node:path'
import type { Dataset } from '../data/index.ts'
import type { Model } from '../ir/model.ts'
import { measureQuality, type QualityReport } from '../measure/index.ts'
import { saveModel } from '../onnx/index.ts'
import type { PassContext } from './pass.ts'

export interface BudgetOptions {
  readonly maxDrop: number
  readonly maxDistance: number
  readonly evalSamples: number
}

/** Tells how much quality a variant of a model loses, and how much it may. */
export interface Judge {
  readonly metric: 'top-1 lost' | '1 − cosine'
  readonly budget: number
  lossOf(model: Model): Promise<number>
}

/** A judge for variants of `model`: by top-1 where the dataset has labels, else by the outputs of `model` itself. */
export async function openJudge(
  model: Model,
  dataset: Dataset,
  options: BudgetOptions,
  { runtime, signal, workDir }: Pick<PassContext, 'runtime' | 'signal' | 'workDir'>,
): Promise<Judge> {
  const hasLabels = (await dataset.labels(0, 1)) !== undefined
  const original = path.join(workDir, 'judged-original.onnx')
  const variant = path.join(workDir, 'judged-variant.onnx')
  await saveModel(model, original)
  return {
    metric: hasLabels ? 'top-1 lost' : '1 − cosine',
    budget: hasLabels ? options.maxDrop : options.maxDistance,
    async lossOf(candidate) {
      await saveModel(candidate, variant)
      const models = { baseline: { path: original }, optimized: { path: variant } }
      return lossOf(await measureQuality({ ...models, dataset, limit: options.evalSamples, runtime, signal }))
    },
  }
}

/** Top-1 lost where there are labels, else 1 − cosine of the output that differs most; infinite where neither is known. */
export function lossOf({ metrics }: QualityReport): number {
  const top1 = metrics.find(({ metric }) => metric === 'top1')
  if (top1?.delta != null) return -top1.delta
  const cosine = metrics.find(({ metric }) => metric === 'cosine')
  return cosine === undefined ? Number.POSITIVE_INFINITY : 1 - cosine.optimized
}
