import { readFeeds } from './batches.ts'
import type { EpochRecord } from './checkpoint.ts'
import type { Setup } from './set-up.ts'

export type Outcome = Pick<EpochRecord, 'validationLoss' | 'metric'>

/** Means over the samples that were held back. */
export async function evaluate(
  { stepper, teachers, validation, plan, model }: Setup,
  vector: string,
): Promise<Outcome> {
  if (validation === undefined) return { validationLoss: null, metric: null }
  const sums = { loss: 0, metric: 0, samples: 0 }
  const { samples, indices } = validation
  for (let start = 0; start < indices.length; start += plan.batch) {
    const run = indices.subarray(start, start + plan.batch)
    if (plan.isFixed && run.length < plan.batch) break
    const feeds = await readFeeds(samples, run, model.target)
    const said = await teachers?.run(feeds)
    try {
      const { loss, metric = 0 } = await stepper.evaluate({ ...feeds, ...said?.feeds }, vector)
      sums.loss += loss * run.length
      sums.metric += metric * run.length
      sums.samples += run.length
    } finally {
      said?.release()
    }
  }
  const metric = model.metric === undefined ? null : sums.metric / sums.samples
  return { validationLoss: sums.loss / sums.samples, metric }
}

/** A higher metric, or with the same (or none) a lower loss. */
export function isBetter(a: Outcome, b: Outcome): boolean {
  if (a.metric !== null && b.metric !== null && a.metric !== b.metric) return a.metric > b.metric
  return (a.validationLoss ?? 0) < (b.validationLoss ?? 0)
}
