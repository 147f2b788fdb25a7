import type { Tensor } from '../ir/tensor.ts'
import type { DType } from '../ir/dtype.ts'
import type { Feeds } from '../runtime/port.ts'

/** One array of a dataset. `dims[0]` is the number of samples. */
export interface ArrayInfo {
  readonly name: string
  readonly dtype: DType
  readonly dims: readonly number[]
}

export interface DatasetSchema {
  /** Every array of the file, the labels among them. */
  readonly arrays: readonly ArrayInfo[]
  /** The array that holds the labels, or null. */
  readonly labels: string | null
}

/** Samples that are read from disk as they are asked for; nothing is held between reads. */
export interface Dataset {
  readonly schema: DatasetSchema
  readonly samples: number
  /** The samples one run must take (a model with a fixed batch); null when any number will do. */
  readonly fixedBatch: number | null
  /**
   * Samples `start` to `start + count` of every array but the labels, the leading axis being the samples.
   * @throws HastenError `dataset_invalid` when the file is damaged, RangeError outside the samples
   */
  read(start: number, count: number): Promise<Feeds>
  /** The labels of those samples, or undefined without labels. */
  labels(start: number, count: number): Promise<Tensor | undefined>
  /**
   * Unpacks what is compressed of the arrays that `read` gives, which the first read does otherwise.
   * @throws HastenError `dataset_invalid` when the file is damaged, `storage_full` when there is no room
   */
  unpack(): Promise<void>
  close(): Promise<void>
}

export interface Batch {
  readonly start: number
  readonly count: number
}

/**
 * Cuts the samples into runs of at most `size`. With a fixed batch every run has exactly that many, so a remainder
 * shorter than it is left out.
 */
export function* batchesOf(
  dataset: Pick<Dataset, 'samples' | 'fixedBatch'>,
  size: number,
  limit = Number.POSITIVE_INFINITY,
): Generator<Batch> {
  const end = Math.min(dataset.samples, limit)
  const step = dataset.fixedBatch ?? size
  for (let start = 0; start < end; start += step) {
    const count = Math.min(step, end - start)
    if (dataset.fixedBatch !== null && count < step) return
    yield { start, count }
  }
}
