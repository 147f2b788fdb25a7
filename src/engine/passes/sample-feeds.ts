import { bindDataset, generateInputs, type Dataset } from '../data/index.ts'
import type { Feeds, TensorInfo } from '../runtime/port.ts'

const seeds = [1, 2]

export interface SampleSource {
  readonly calibration?: Dataset
  /** Inputs with dims that the model is known to run on. */
  readonly sampleInputs?: readonly TensorInfo[]
}

/**
 * Two sets of inputs to try a model on: the first and the last samples of a dataset, else generated ones of two seeds
 * and, where nothing says what dims the model runs on and it allows that, of batch 1 and 2.
 * @throws HastenError as `bindDataset` and `generateInputs`
 */
export async function sampleFeeds(inputs: readonly TensorInfo[], source: SampleSource): Promise<Feeds[]> {
  const { calibration, sampleInputs = inputs } = source
  if (calibration === undefined) return seeds.map((seed) => generateInputs(sampleInputs, { batch: seed, seed }))
  const { dataset } = bindDataset(calibration, inputs)
  const count = dataset.fixedBatch ?? Math.min(4, dataset.samples)
  const starts = new Set([0, dataset.samples - count])
  const feeds: Feeds[] = []
  for (const start of starts) feeds.push(await dataset.read(start, count))
  return feeds
}
