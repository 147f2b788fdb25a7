import { elementCount, isViewable, viewOf, type Tensor } from '../ir/tensor.ts'

/** The elements of a numeric tensor as numbers, or undefined for types that a typed array can't show. float16 is decoded. */
export function numbersOf(tensor: Tensor): number[] | undefined {
  if (!isViewable(tensor.dtype) || tensor.dtype === 'bfloat16') return undefined
  if (tensor.dtype === 'float16') return Array.from(halfView(tensor))
  return Array.from(viewOf(tensor), Number)
}

function halfView(tensor: Tensor): Float16Array {
  const bits = viewOf(tensor, 'float16')
  return new Float16Array(bits.buffer, bits.byteOffset, bits.length)
}

/** The one number of a tensor with a single element, of any rank. */
export function scalarOf(tensor: Tensor | undefined): number | undefined {
  if (tensor === undefined || elementCount(tensor.dims) !== 1) return undefined
  return numbersOf(tensor)?.[0]
}

/** Whether `value` is `expected` as a float32 would store it. */
export function isClose(value: number | undefined, expected: number): boolean {
  return value !== undefined && Math.abs(value - expected) <= 1e-6 * Math.max(1, Math.abs(expected))
}
