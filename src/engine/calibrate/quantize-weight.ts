import { elementCount, tensorOf, type NumericTensor } from '../ir/tensor.ts'
import { affineParams, quantizeValue, type AffineParams, type QuantizedDType } from './affine.ts'

/** A weight in integers with its scales and zero points: one, one per index of an axis, or one per block along it. */
export interface QuantizedWeight {
  readonly tensor: NumericTensor
  readonly scales: Float32Array<ArrayBuffer>
  readonly zeroPoints: readonly number[]
  /** Dims of the scales. */
  readonly scaleDims: readonly number[]
  readonly axis: number | undefined
  readonly block: number | undefined
}

export interface WeightOptions {
  /** Axis of the scales; undefined for one scale. */
  readonly axis: number | undefined
  /** Elements along the axis that share a scale; every index has its own, and all of it, without. */
  readonly block?: number | undefined
  readonly dtype?: QuantizedDType
  readonly symmetric?: boolean
  readonly reduceRange: boolean
  /** Factors to multiply the scales with, so that a bias in units of them can't overflow; 1 where absent. */
  readonly widen?: readonly number[]
}

/** Quantizes a row-major float32 weight of `dims`: to int8, symmetrically, unless the options say otherwise. */
export function quantizeWeight(values: Float32Array, dims: readonly number[], options: WeightOptions): QuantizedWeight {
  const { axis, block, dtype = 'int8' } = options
  const groups = groupsOf(dims, axis, block)
  const params = groupParams(values, groups, options)
  const integers = new Int32Array(values.length)
  for (let index = 0; index < values.length; index += 1) {
    integers[index] = quantizeValue(values[index] as number, params[groups.groupOf(index)] as AffineParams)
  }
  return {
    tensor: integerTensor(dtype, dims, integers),
    scales: Float32Array.from(params, ({ scale }) => scale),
    zeroPoints: params.map(({ zeroPoint }) => zeroPoint),
    scaleDims: groups.dims,
    axis,
    block,
  }
}

interface Groups {
  readonly dims: readonly number[]
  readonly groupOf: (index: number) => number
}

/** Which scale each element of a weight has. */
function groupsOf(dims: readonly number[], axis: number | undefined, block: number | undefined): Groups {
  if (axis === undefined) return { dims: [], groupOf: () => 0 }
  const size = dims[axis] ?? 1
  const inner = elementCount(dims.slice(axis + 1))
  if (block === undefined) return { dims: [size], groupOf: (index) => Math.floor(index / inner) % size }
  const blocks = Math.ceil(size / block)
  const groupOf = (index: number) => {
    const row = Math.floor(index / inner)
    const at = Math.floor((row % size) / block)
    return (Math.floor(row / size) * blocks + at) * inner + (index % inner)
  }
  return { dims: dims.map((dim, each) => (each === axis ? blocks : dim)), groupOf }
}

function groupParams(
  values: Float32Array,
  { dims, groupOf }: Groups,
  { dtype = 'int8', symmetric = true, reduceRange, widen }: WeightOptions,
): AffineParams[] {
  const count = elementCount(dims)
  const [lowest, highest] = [new Float64Array(count), new Float64Array(count)]
  for (let index = 0; index < values.length; index += 1) {
    const group = groupOf(index)
    const value = values[index] as number
    if (value < (lowest[group] as number)) lowest[group] = value
    if (value > (highest[group] as number)) highest[group] = value
  }
  return Array.from(lowest, (min, group) => {
    const params = affineParams({ min, max: highest[group] as number }, { dtype, symmetric, reduceRange })
    return { ...params, scale: Math.fround(params.scale * (widen?.[group] ?? 1)) }
  })
}

/** Integers as a tensor of their type; those of 4 bits are packed, the first in the low half of a byte. */
export function integerTensor(
  dtype: QuantizedDType,
  dims: readonly number[],
  values: ArrayLike<number>,
): NumericTensor {
  return writers[dtype](dims, values)
}

type Writer = (dims: readonly number[], values: ArrayLike<number>) => NumericTensor

const writers: Readonly<Record<QuantizedDType, Writer>> = {
  uint8: (dims, values) => tensorOf('uint8', dims, Uint8Array.from(values)),
  int8: (dims, values) => tensorOf('int8', dims, Int8Array.from(values)),
  uint16: (dims, values) => tensorOf('uint16', dims, Uint16Array.from(values)),
  int16: (dims, values) => tensorOf('int16', dims, Int16Array.from(values)),
  uint4: (dims, values) => ({ dtype: 'uint4', dims, bytes: packHalves(values) }),
  int4: (dims, values) => ({ dtype: 'int4', dims, bytes: packHalves(values) }),
}

function packHalves(values: ArrayLike<number>): Uint8Array {
  const bytes = new Uint8Array(Math.ceil(values.length / 2))
  for (let index = 0; index < values.length; index += 1) {
    const half = ((values[index] as number) & 15) << (index % 2 === 0 ? 0 : 4)
    bytes[index >> 1] = (bytes[index >> 1] as number) | half
  }
  return bytes
}
