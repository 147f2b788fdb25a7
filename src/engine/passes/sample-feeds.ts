import { bindDataset, generateInputs, type Dataset } from '../data/index.ts'
import type { Feeds, TensorInfo } from '../runtime/port.ts'

const seeds = [1, 2]

/**
 * Two sets of inputs to try a model on: the first and the last samples of a dataset, else generated ones of two seeds
 * and, where the model allows it, of batch 1 and 2.
 * @throws HastenError as `bindDataset` and `generateInputs`
 */
export async function sampleFeeds(inputs: readonly TensorInfo[], dataset?: Dataset): Promise<Feeds[]> {
  if (dataset === undefined) return seeds.map((seed) => generateInputs(inputs, { batch: seed, seed }))
  const { dataset: bound } = bindDataset(dataset, inputs)
  const count = bound.fixedBatch ?? Math.min(4, bound.samples)
  const starts = new Set([0, bound.samples - count])
  const feeds: Feeds[] = []
  for (const start of starts) feeds.push(await bound.read(start, count))
  return feeds
}
