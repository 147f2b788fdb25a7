import {
  batchesOf,
  bindDataset,
  generateInputs,
  type Dataset,
  type Feeds,
  type Tensor,
  type TensorInfo,
} from '../../engine/index.ts'

type Dim = TensorInfo['dims'][number]

/**
 * Inputs with the sizes that a model is known to run on where it leaves them open. The batch axis stays open: an open
 * first axis that ran with one sample, and its name wherever else it occurs.
 */
export function concreteInputs(
  inputs: readonly TensorInfo[],
  ran: readonly { readonly name: string; readonly dims: readonly number[] }[],
): TensorInfo[] {
  const sizes = new Map(ran.map(({ name, dims }) => [name, dims]))
  const firsts = inputs.filter(({ name }) => sizes.get(name)?.[0] === 1).map(({ dims }) => dims[0])
  const batchNames = new Set(firsts.filter((dim) => typeof dim === 'string'))
  return inputs.map((input) => {
    const known = sizes.get(input.name)
    if (known === undefined) return input
    const isBatch = (dim: Dim, axis: number) =>
      typeof dim === 'string' ? batchNames.has(dim) : axis === 0 && known[0] === 1
    const dims = known.map((size, axis) => {
      const dim = input.dims[axis] ?? null
      return typeof dim !== 'number' && isBatch(dim, axis) ? dim : size
    })
    return { name: input.name, dtype: input.dtype, dims }
  })
}

/** Runs of one measurement: inputs and how many samples each holds. */
export interface MeasureInputs {
  readonly feeds: readonly Feeds[]
  readonly batch: number
}

/** Different inputs that the measured runs take in turn, so that no cache holds the answer. */
const variety = 8

/** Inputs for measuring: real samples where there are some, seeded ones otherwise. */
export async function measureInputs(
  inputs: readonly TensorInfo[],
  batch: number,
  dataset: Dataset | undefined,
): Promise<MeasureInputs> {
  if (dataset === undefined) return generatedInputs(inputs, batch)
  const { dataset: bound } = bindDataset(dataset, inputs)
  const size = Math.min(bound.fixedBatch ?? batch, bound.samples)
  const batches = [...batchesOf(bound, size, size * variety)].filter(({ count }) => count === size)
  const feeds = await Promise.all(batches.map(async ({ start, count }) => bound.read(start, count)))
  return { feeds, batch: size }
}

function generatedInputs(inputs: readonly TensorInfo[], batch: number): MeasureInputs {
  const fixed = inputs.map(({ dims }) => dims[0]).find((dim) => typeof dim === 'number')
  const feeds = Array.from({ length: variety }, (_, seed) => generateInputs(inputs, { batch, seed }))
  return { feeds, batch: fixed ?? batch }
}

/** A dataset of seeded inputs, for models that come without data: each sample is a whole input of the model. */
export function generatedDataset(inputs: readonly TensorInfo[], samples: number): Dataset {
  const make = (seed: number) => generateInputs(inputs, { batch: 1, seed })
  const arrays = Object.entries(make(0)).map(([name, { dtype, dims }]) => ({ name, dtype, dims: [samples, ...dims] }))
  return {
    schema: { arrays, labels: null },
    samples,
    fixedBatch: 1,
    read: async (start, count) => {
      if (count !== 1 || start >= samples) throw new RangeError('generated samples are read one at a time')
      return Object.fromEntries(Object.entries(make(start)).map(([name, tensor]) => [name, asSample(tensor)]))
    },
    labels: async () => undefined,
    unpack: async () => undefined,
    close: async () => undefined,
  }
}

function asSample(tensor: Tensor): Tensor {
  return { ...tensor, dims: [1, ...tensor.dims] }
}
