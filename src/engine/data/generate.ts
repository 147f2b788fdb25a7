import { HastenError } from '../../errors.ts'
import { byteLength, type DType } from '../ir/dtype.ts'
import { elementCount, stringTensor, type Tensor, type TensorView } from '../ir/tensor.ts'
import type { Feeds, TensorInfo } from '../runtime/port.ts'
import { createRandom, sampleInteger, sampleNormal, type Random } from './random.ts'

export interface GenerateOptions {
  readonly batch: number
  readonly seed: number
  /** Sizes of symbolic dims by name; they win over the guesses. */
  readonly dims?: Readonly<Record<string, number>>
  /** An input past this is refused. */
  readonly maxBytes?: number
}

const defaultMaxBytes = 2 ** 30

/** Detectors and segmenters need multiples of 32 (five halvings); two of them keep it small. */
const imageSize = 64
const imageChannels = 3
const sequenceLength = 16

/** Below 2, so that it is a valid index of every table that has a choice (token types, a vocabulary of two). */
const integerBound = 2

/**
 * Seeded inputs of a model's dtypes and dims, for models without data: images in 0…1, other floats normal, integers 0
 * or 1, masks all ones. A dim of one name has one size throughout.
 * @throws HastenError `model_unsafe` for an input past `maxBytes`, `model_run_failed` for a dtype that can't be made
 */
export function generateInputs(inputs: readonly TensorInfo[], options: GenerateOptions): Feeds {
  const sizes = new Map(Object.entries(options.dims ?? {}))
  return Object.fromEntries(
    inputs.map((input, index) => {
      const dims = input.dims.map((dim, axis) => resolveDim(dim, axis, input, sizes, options.batch))
      checkSize(input, dims, options.maxBytes ?? defaultMaxBytes)
      // A generator each, so that one input's values don't depend on another's size.
      return [input.name, fillTensor(input, dims, createRandom(options.seed * 1009 + index))]
    }),
  )
}

function resolveDim(
  dim: number | string | null,
  axis: number,
  input: TensorInfo,
  sizes: Map<string, number>,
  batch: number,
): number {
  if (typeof dim === 'number') return dim
  if (dim === null || isPlaceholder(dim)) return guessDim('', axis, input, batch)
  const size = sizes.get(dim) ?? guessDim(dim, axis, input, batch)
  sizes.set(dim, size)
  return size
}

/** What exporters write for a dim without a name (Paddle's is `?`): two of these needn't be equal. */
function isPlaceholder(dim: string): boolean {
  return dim === '' || dim === '?' || dim === '-1' || dim === 'None'
}

function guessDim(name: string, axis: number, { dims }: TensorInfo, batch: number): number {
  if (/batch/i.test(name) || /^(n|b)$/i.test(name)) return batch
  if (/seq|len|time|step|token|frame/i.test(name)) return sequenceLength
  if (axis === 0) return batch
  if (dims.length !== 4) return sequenceLength
  return axis === channelAxis(dims) ? imageChannels : imageSize
}

function channelAxis(dims: TensorInfo['dims']): number {
  const isSmall = (dim: TensorInfo['dims'][number] | undefined) => typeof dim === 'number' && dim <= 4
  return isSmall(dims[3]) && !isSmall(dims[1]) ? 3 : 1
}

function checkSize({ name, dtype }: TensorInfo, dims: readonly number[], maxBytes: number): void {
  const bytes = byteLength(dtype, elementCount(dims))
  if (bytes <= maxBytes) return
  throw new HastenError('model_unsafe', `input ${name} of dims [${dims.join(', ')}] takes ${bytes} bytes`)
}

/** How a dtype's values are made: an array of that many elements from a source of plain numbers. */
const builders: Partial<Record<DType, (count: number, next: () => number) => TensorView>> = {
  float32: (count, next) => Float32Array.from({ length: count }, next),
  float64: (count, next) => Float64Array.from({ length: count }, next),
  float16: (count, next) => new Uint16Array(Float16Array.from({ length: count }, next).buffer),
  bfloat16: (count, next) =>
    new Uint16Array(new Float32Array(Array.from({ length: count }, next)).buffer).filter(isOdd),
  int8: (count, next) => Int8Array.from({ length: count }, next),
  uint8: (count, next) => Uint8Array.from({ length: count }, next),
  int16: (count, next) => Int16Array.from({ length: count }, next),
  uint16: (count, next) => Uint16Array.from({ length: count }, next),
  int32: (count, next) => Int32Array.from({ length: count }, next),
  uint32: (count, next) => Uint32Array.from({ length: count }, next),
  int64: (count, next) => BigInt64Array.from({ length: count }, () => BigInt(next())),
  uint64: (count, next) => BigUint64Array.from({ length: count }, () => BigInt(next())),
  bool: (count, next) => Uint8Array.from({ length: count }, next),
}

/** The upper half of a little-endian float32 is its bfloat16, cut off. */
function isOdd(_: number, index: number): boolean {
  return index % 2 === 1
}

function fillTensor(input: TensorInfo, dims: readonly number[], random: Random): Tensor {
  const { dtype, name } = input
  const count = elementCount(dims)
  if (dtype === 'string')
    return stringTensor(
      dims,
      Array.from({ length: count }, (_, index) => `text ${index}`),
    )
  const build = builders[dtype]
  if (build === undefined) throw new HastenError('model_run_failed', `input ${name} is ${dtype}, which can't be made`)
  return { dtype, dims, bytes: bytesOf(build(count, valueSource(input, random))) }
}

function bytesOf({ buffer, byteOffset, byteLength }: TensorView): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength)
}

function valueSource({ name, dtype, dims }: TensorInfo, random: Random): () => number {
  if (/float/.test(dtype)) return dims.length === 4 ? random : () => sampleNormal(random)
  // Pixels may be bytes; any other integer is likely an index.
  if (dtype === 'uint8' && dims.length === 4) return () => sampleInteger(random, 256)
  if (/mask/i.test(name)) return () => 1
  return () => sampleInteger(random, integerBound)
}
