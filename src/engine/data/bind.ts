import { HastenError, type ErrorItem } from '../../errors.ts'
import { tensorOf, viewOf, type Tensor } from '../ir/tensor.ts'
import type { DType } from '../ir/dtype.ts'
import type { Feeds, TensorInfo } from '../runtime/port.ts'
import type { ArrayInfo, Dataset } from './dataset.ts'
import { bareArrayName } from './open.ts'
import { scanDataset, type ScanOptions } from './scan.ts'

export interface BoundDataset {
  /** The dataset as the model takes it: the inputs' names, dtypes and ranks. Closing it closes the original. */
  readonly dataset: Dataset
  /** What was converted, a sentence each. */
  readonly warnings: readonly string[]
}

/** How an array becomes an input. */
interface Binding {
  readonly array: ArrayInfo
  readonly input: TensorInfo
  /**
   * `stacked`: the array has the input's rank, its first axis being the input's batch axis. `whole`: the array has
   * one axis more, and each sample is a complete input (scalars, recurrent state), so runs take one sample.
   */
  readonly layout: 'stacked' | 'whole'
  readonly convert: ((tensor: Tensor) => Tensor) | undefined
}

/** Conversions that numpy's defaults make necessary; any other difference of dtype is an error. */
const conversions: Readonly<Record<string, (tensor: Tensor) => Tensor>> = {
  'float64 to float32': (tensor) => tensorOf('float32', tensor.dims, Float32Array.from(viewOf(tensor, 'float64'))),
  'int32 to int64': (tensor) => tensorOf('int64', tensor.dims, BigInt64Array.from(viewOf(tensor, 'int32'), BigInt)),
}

/**
 * Checks a dataset against a model's inputs and reads it through once (NaN, infinities, damage).
 * @throws HastenError `dataset_mismatch` listing everything that doesn't fit, `dataset_invalid`, `job_canceled`
 */
export async function checkDataset(
  dataset: Dataset,
  inputs: readonly TensorInfo[],
  options: ScanOptions = {},
): Promise<BoundDataset> {
  const bound = bindDataset(dataset, inputs)
  await scanDataset(dataset, options)
  return bound
}

/**
 * As `checkDataset`, from the schemas alone: reads no sample.
 * @throws HastenError `dataset_mismatch`
 */
export function bindDataset(dataset: Dataset, inputs: readonly TensorInfo[]): BoundDataset {
  const arrays = renameBareArray(dataset, inputs)
  const problems = inputs.flatMap((input) => compareInput(input, arrays.get(input.name)))
  const known = new Set(inputs.map(({ name }) => name))
  const listed = inputs.map(({ name }) => name).join(', ')
  for (const name of arrays.keys()) {
    if (!known.has(name)) problems.push(problem(name, `is not an input of the model, which has: ${listed}`))
  }
  if (problems[0] !== undefined) throw mismatch(problems)
  const bindings = inputs.flatMap((input) => bindInput(input, arrays.get(input.name)))
  const fixedBatch = findFixedBatch(bindings, dataset.samples)
  return { dataset: wrapDataset(dataset, bindings, fixedBatch), warnings: bindings.flatMap(describeConversion) }
}

function renameBareArray({ schema }: Dataset, inputs: readonly TensorInfo[]): Map<string, ArrayInfo> {
  const features = schema.arrays.filter(({ name }) => name !== schema.labels)
  const [only] = features
  const [input] = inputs
  const isBare = features.length === 1 && inputs.length === 1 && only?.name === bareArrayName
  if (isBare && input !== undefined) return new Map([[input.name, only]])
  return new Map(features.map((array) => [array.name, array]))
}

function compareInput(input: TensorInfo, array: ArrayInfo | undefined): ErrorItem[] {
  if (array === undefined) return [problem(input.name, 'is missing')]
  const problems: ErrorItem[] = []
  if (array.dtype !== input.dtype && findConversion(array.dtype, input.dtype) === undefined) {
    problems.push(problem(input.name, `is ${array.dtype}, but the model takes ${input.dtype}`))
  }
  const [wanted, got] = [input.dims.length, array.dims.length]
  if (got !== wanted && got !== wanted + 1) {
    const dims = `${describeDims(array.dims)}, but the model takes ${describeDims(input.dims)}`
    return [...problems, problem(input.name, `has ${got} axes ${dims}`)]
  }
  // Stacked samples share the batch axis, whose size is the number of samples and needn't be the model's.
  const [dims, from] = got === wanted ? [array.dims, 1] : [array.dims.slice(1), 0]
  const differs = input.dims.some((dim, axis) => axis >= from && typeof dim === 'number' && dim !== dims[axis])
  if (!differs) return problems
  const detail = `has dims ${describeDims(array.dims)}, but the model takes ${describeDims(input.dims)}`
  return [...problems, problem(input.name, detail)]
}

function bindInput(input: TensorInfo, array: ArrayInfo | undefined): Binding[] {
  if (array === undefined) return []
  const layout = array.dims.length === input.dims.length ? 'stacked' : 'whole'
  return [{ array, input, layout, convert: findConversion(array.dtype, input.dtype) }]
}

function findFixedBatch(bindings: readonly Binding[], samples: number): number | null {
  const sizes = bindings.flatMap(({ input, layout }) => {
    if (layout === 'whole') return [1]
    const [batch] = input.dims
    return typeof batch === 'number' ? [batch] : []
  })
  const [first] = sizes
  if (first === undefined) return null
  const odd = bindings.find(({ input, layout }) => layout === 'stacked' && fixedSize(input) !== first)
  if (odd !== undefined && fixedSize(odd.input) !== undefined) {
    throw mismatch([problem(odd.input.name, `has batch ${fixedSize(odd.input)}, but another input takes ${first}`)])
  }
  if (first > samples) {
    throw new HastenError('dataset_mismatch', `the model takes ${first} samples at once; the dataset has ${samples}`)
  }
  return first
}

function fixedSize({ dims: [batch] }: TensorInfo): number | undefined {
  return typeof batch === 'number' ? batch : undefined
}

function wrapDataset(dataset: Dataset, bindings: readonly Binding[], fixedBatch: number | null): Dataset {
  const adapt = ({ array, input, layout, convert }: Binding, feeds: Feeds, count: number) => {
    const tensor = feeds[array.name]
    if (tensor === undefined) throw new HastenError('internal', `array ${array.name} was not read`)
    const converted = convert?.(tensor) ?? tensor
    if (layout === 'stacked') return [input.name, converted] as const
    if (count !== 1) throw new RangeError('samples that are whole inputs are read one at a time')
    return [input.name, { ...converted, dims: converted.dims.slice(1) }] as const
  }
  return {
    schema: dataset.schema,
    samples: dataset.samples,
    fixedBatch,
    async read(start, count) {
      const feeds = await dataset.read(start, count)
      return Object.fromEntries(bindings.map((binding) => adapt(binding, feeds, count)))
    },
    labels: (start, count) => dataset.labels(start, count),
    unpack: () => dataset.unpack(),
    close: () => dataset.close(),
  }
}

function findConversion(from: DType, to: DType): ((tensor: Tensor) => Tensor) | undefined {
  return conversions[`${from} to ${to}`]
}

function describeConversion({ array, input, convert }: Binding): string[] {
  return convert === undefined ? [] : [`array ${array.name} is converted from ${array.dtype} to ${input.dtype}`]
}

function describeDims(dims: readonly (number | string | null)[]): string {
  return `[${dims.map((dim) => dim ?? '?').join(', ')}]`
}

function problem(name: string, detail: string): ErrorItem {
  return { pointer: `/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`, detail: `array "${name}" ${detail}` }
}

function mismatch(problems: readonly ErrorItem[]): HastenError {
  return new HastenError('dataset_mismatch', problems.map(({ detail }) => detail).join('; '), { errors: problems })
}
