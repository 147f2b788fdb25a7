import { HastenError } from '../../errors.ts'
import { batchesOf, type Dataset } from '../data/index.ts'
import type { NumericTensor, Tensor } from '../ir/tensor.ts'
import type { Feeds } from '../runtime/port.ts'

/** Samples of one batch, in the order that was asked for. */
interface Gathered {
  readonly feeds: Feeds
  readonly labels: Tensor | undefined
}

/** A dataset from which any samples can be put together to a batch. */
export interface Samples {
  readonly count: number
  /** The samples a run must take; null when any number will do. */
  readonly fixedBatch: number | null
  gather(indices: ArrayLike<number>): Promise<Gathered>
}

export interface SampleOptions {
  /** A dataset of up to so many bytes is held in memory; of a larger one samples are read from disk as they come. */
  readonly memoryBytes?: number
  readonly signal?: AbortSignal
}

const defaultMemoryBytes = 256 * 2 ** 20
/** Reads in flight at once: each holds a thread of libuv's pool for a moment. */
const readsInFlight = 16
/** Samples read at a time when a dataset is taken into memory. */
const loadBatch = 256

/**
 * Opens a dataset for random access. Batches are the same whether it is held in memory or not.
 * @param dataset as the model takes it (see `bindDataset`)
 * @throws HastenError `dataset_mismatch` for text, `dataset_invalid`, `job_canceled`
 */
export async function openSamples(dataset: Dataset, options: SampleOptions = {}): Promise<Samples> {
  const { memoryBytes = defaultMemoryBytes, signal } = options
  const first = await readOne(dataset, 0)
  const layout = Object.entries(first).map(([name, tensor]) => layoutOf(name, tensor, dataset))
  const sampleBytes = layout.reduce((sum, { bytes }) => sum + bytes, 0)
  const rows =
    sampleBytes * dataset.samples <= memoryBytes
      ? await loadRows(dataset, layout, signal)
      : (index: number) => readRow(dataset, index)
  return {
    count: dataset.samples,
    fixedBatch: dataset.fixedBatch,
    gather: (indices) => gather(layout, rows, indices, dataset.fixedBatch),
  }
}

const labelKey = '\0labels'

interface Layout {
  readonly name: string
  readonly dtype: NumericTensor['dtype']
  /** Dims of a read of one sample. */
  readonly dims: readonly number[]
  /** Bytes of one sample. */
  readonly bytes: number
}

/** The bytes of one sample, by array. */
type Row = ReadonlyMap<string, Uint8Array>
type Rows = (index: number) => Promise<Row>

function layoutOf(name: string, tensor: Tensor, { schema }: Dataset): Layout {
  const { dtype, dims } = tensor
  if (dtype !== 'string') return { name, dtype, dims, bytes: tensor.bytes.byteLength }
  const shown = name === labelKey ? (schema.labels ?? 'labels') : name
  throw new HastenError('dataset_mismatch', `array "${shown}" is text, which can't be trained on`)
}

async function readOne(dataset: Dataset, index: number): Promise<Feeds> {
  return readSome(dataset, index, 1)
}

async function readSome(dataset: Dataset, start: number, count: number): Promise<Feeds> {
  const [feeds, labels] = await Promise.all([dataset.read(start, count), dataset.labels(start, count)])
  if (labels === undefined) return feeds
  if (labels.dims[0] === count) return { ...feeds, [labelKey]: labels }
  throw new HastenError('dataset_mismatch', `there are ${labels.dims[0]} labels for ${count} samples`, {
    hint: 'The first axis of the labels must be as long as that of the inputs.',
  })
}

async function readRow(dataset: Dataset, index: number): Promise<Row> {
  const feeds = await readOne(dataset, index)
  return new Map(Object.entries(feeds).map(([name, tensor]) => [name, (tensor as NumericTensor).bytes]))
}

async function loadRows(dataset: Dataset, layout: readonly Layout[], signal: AbortSignal | undefined): Promise<Rows> {
  const held = new Map(layout.map(({ name, bytes }) => [name, new Uint8Array(bytes * dataset.samples)]))
  const isWhole = dataset.fixedBatch === 1
  for (const { start, count } of batchesOf({ samples: dataset.samples, fixedBatch: null }, isWhole ? 1 : loadBatch)) {
    if (signal?.aborted === true) throw new HastenError('job_canceled', 'canceled while reading the dataset')
    const feeds = await readSome(dataset, start, count)
    for (const { name, bytes } of layout) held.get(name)?.set((feeds[name] as NumericTensor).bytes, start * bytes)
  }
  return async (index) =>
    new Map(
      layout.map(({ name, bytes }) => [
        name,
        (held.get(name) as Uint8Array).subarray(index * bytes, (index + 1) * bytes),
      ]),
    )
}

async function gather(
  layout: readonly Layout[],
  rows: Rows,
  indices: ArrayLike<number>,
  fixedBatch: number | null,
): Promise<Gathered> {
  const targets = layout.map((each) => ({ ...each, target: new Uint8Array(each.bytes * indices.length) }))
  for (let start = 0; start < indices.length; start += readsInFlight) {
    const wanted = Array.from({ length: Math.min(readsInFlight, indices.length - start) }, (_, at) => start + at)
    const read = await Promise.all(wanted.map((at) => rows(indices[at] ?? 0)))
    for (const [at, row] of read.entries()) {
      for (const { name, bytes, target } of targets) target.set(row.get(name) as Uint8Array, (start + at) * bytes)
    }
  }
  const entries = targets.map(({ name, dtype, dims, target }) => {
    // A sample that is a whole input has no axis of samples.
    const own = fixedBatch === 1 && name !== labelKey ? dims : [indices.length, ...dims.slice(1)]
    return [name, { dtype, dims: own, bytes: target }] as const
  })
  const { [labelKey]: labels, ...feeds } = Object.fromEntries(entries)
  return { feeds, labels }
}
