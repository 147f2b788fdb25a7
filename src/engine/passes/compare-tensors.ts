import { elementCount, isViewable, viewOf, type Tensor } from '../ir/tensor.ts'

/** How far two tensors are apart; `undefined` when they are the same within the tolerance. */
export interface Difference {
  readonly detail: string
}

export interface Tolerance {
  /** Of the largest value of the reference, and of each value. */
  readonly relative: number
  /** Whatever the scale: what this model's own rounding amounts to. */
  readonly noise: number
}

/**
 * Compares a tensor with its reference. Floats may differ by `relative` of the largest reference value plus
 * `relative` of the value plus `noise`; everything else must be equal. NaN equals NaN, an infinity itself.
 */
export function compareTensors(reference: Tensor, other: Tensor, tolerance: Tolerance): Difference | undefined {
  if (reference.dtype !== other.dtype) return { detail: `${other.dtype} instead of ${reference.dtype}` }
  if (reference.dims.length !== other.dims.length || reference.dims.some((dim, axis) => dim !== other.dims[axis])) {
    return { detail: `dims [${other.dims.join(', ')}] instead of [${reference.dims.join(', ')}]` }
  }
  const expected = floatsOf(reference)
  const actual = floatsOf(other)
  if (expected === undefined || actual === undefined) return compareBytes(reference, other)
  return compareFloats(expected, actual, tolerance)
}

type Floats = Float32Array | Float64Array | Float16Array

/** The elements of a float tensor; undefined for other types. */
export function floatsOf(tensor: Tensor): Floats | undefined {
  if (!isViewable(tensor.dtype)) return undefined
  if (tensor.dtype === 'float32') return viewOf(tensor, 'float32')
  if (tensor.dtype === 'float64') return viewOf(tensor, 'float64')
  if (tensor.dtype !== 'float16') return undefined
  const bits = viewOf(tensor, 'float16')
  return new Float16Array(bits.buffer, bits.byteOffset, bits.length)
}

function compareFloats(expected: Floats, actual: Floats, { relative, noise }: Tolerance): Difference | undefined {
  const scale = largestFinite(expected)
  for (const [index, value] of expected.entries()) {
    const got = actual[index] as number
    if (Object.is(value, got) || value === got) continue
    const allowed = Number.isFinite(value) ? relative * (scale + Math.abs(value)) + noise : 0
    if (!(Math.abs(value - got) <= allowed)) {
      return { detail: `element ${index} is ${got} instead of ${value}; ${allowed.toPrecision(2)} is allowed` }
    }
  }
  return undefined
}

function largestFinite(values: Floats): number {
  let largest = 0
  for (const value of values) if (Number.isFinite(value)) largest = Math.max(largest, Math.abs(value))
  return largest
}

/** The largest finite difference of two float tensors of the same dims; 0 for other types. */
export function largestDifference(left: Tensor, right: Tensor): number {
  const [one, other] = [floatsOf(left), floatsOf(right)]
  if (one === undefined || other === undefined || one.length !== other.length) return 0
  let largest = 0
  for (const [index, value] of one.entries()) {
    const difference = Math.abs(value - (other[index] as number))
    if (Number.isFinite(difference)) largest = Math.max(largest, difference)
  }
  return largest
}

function compareBytes(reference: Tensor, other: Tensor): Difference | undefined {
  const same =
    reference.dtype === 'string' || other.dtype === 'string'
      ? sameStrings(reference, other)
      : Buffer.compare(reference.bytes, other.bytes) === 0
  return same ? undefined : { detail: `some of ${elementCount(reference.dims)} ${reference.dtype} elements differ` }
}

function sameStrings(one: Tensor, other: Tensor): boolean {
  if (one.dtype !== 'string' || other.dtype !== 'string') return false
  return one.strings.every((text, index) => Buffer.compare(text, other.strings[index] ?? new Uint8Array()) === 0)
}
