import { HastenError } from '../../errors.ts'
import { elementCount, viewOf, type Tensor } from '../ir/tensor.ts'
import { batchesOf, type Dataset } from './dataset.ts'
import { invalid } from './npy-header.ts'

/** Bytes read at a time while scanning: large enough for the disk, small enough to forget. */
const scanBytes = 4 * 2 ** 20

export interface ScanOptions {
  readonly signal?: AbortSignal | undefined
}

/**
 * Reads a whole dataset once: damaged data shows here, and numbers no model can be judged by (NaN, infinities).
 * @throws HastenError `dataset_invalid` naming the array and the sample, `job_canceled` when aborted
 */
export async function scanDataset(dataset: Dataset, { signal }: ScanOptions = {}): Promise<void> {
  const size = scanBatch(dataset)
  for (const { start, count } of batchesOf({ samples: dataset.samples, fixedBatch: null }, size)) {
    if (signal?.aborted === true) throw new HastenError('job_canceled', 'canceled while reading the dataset')
    const feeds = await dataset.read(start, count)
    for (const [name, tensor] of Object.entries(feeds)) checkFinite(name, tensor, start)
    const labels = await dataset.labels(start, count)
    if (labels !== undefined) checkFinite(dataset.schema.labels ?? 'labels', labels, start)
  }
}

function scanBatch({ schema, samples }: Dataset): number {
  // Eight bytes is the widest numeric element; text is bounded by its own width, so this only sets the pace.
  const bytes = schema.arrays.reduce((total, { dims }) => total + elementCount(dims.slice(1)) * 8, 0)
  return Math.min(samples, Math.max(1, Math.floor(scanBytes / bytes)))
}

function checkFinite(name: string, tensor: Tensor, start: number): void {
  const index = findNonFinite(tensor)
  if (index < 0) return
  const sample = start + Math.floor(index / elementCount(tensor.dims.slice(1)))
  throw invalid(name, `holds NaN or a number past float32's range in sample ${sample}`)
}

function findNonFinite(tensor: Tensor): number {
  if (tensor.dtype === 'float32') return findInfinite(viewOf(tensor, 'float32'))
  // Doubles are read as float32 by most models, so what overflows there is as bad as infinity.
  if (tensor.dtype === 'float64') return findInfinite(Float32Array.from(viewOf(tensor, 'float64')))
  // All exponent bits set: infinity or NaN.
  if (tensor.dtype === 'float16') return viewOf(tensor, 'float16').findIndex((bits) => (bits & 0x7c_00) === 0x7c_00)
  return -1
}

/** A plain loop: it reads a gigabyte in a fraction of the time that a callback an element takes. */
function findInfinite(values: Float32Array): number {
  for (let index = 0; index < values.length; index += 1) {
    if (!Number.isFinite(values[index])) return index
  }
  return -1
}
