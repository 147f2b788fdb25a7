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
 * @param batch samples in each set, where the model lets that be chosen; of a dataset at most as many as it has
 * @throws HastenError as `bindDataset` and `generateInputs`
 */
export async function sampleFeeds(
  inputs: readonly TensorInfo[],
  source: SampleSource,
  batch?: number,
): Promise<Feeds[]> {
  const { calibration, sampleInputs = inputs } = source
  if (calibration === undefined) {
    const sized = batch === undefined ? sampleInputs : resizeBatch(sampleInputs, inputs, batch)
    return seeds.map((seed) => generateInputs(sized, { batch: batch ?? seed, seed }))
  }
  const { dataset } = bindDataset(calibration, inputs)
  const count = dataset.fixedBatch ?? Math.min(batch ?? 4, dataset.samples)
  const starts = new Set([0, dataset.samples - count])
  const feeds: Feeds[] = []
  for (const start of starts) feeds.push(await dataset.read(start, count))
  return feeds
}

/** Known dims with another batch: in the first axis, where the model itself leaves that open. */
function resizeBatch(known: readonly TensorInfo[], inputs: readonly TensorInfo[], batch: number): TensorInfo[] {
  const isOpen = new Map(inputs.map(({ name, dims }) => [name, typeof dims[0] !== 'number']))
  return known.map((input) =>
    isOpen.get(input.name) === true && input.dims.length > 0
      ? { ...input, dims: [batch, ...input.dims.slice(1)] }
      : input,
  )
}
