import { tensorOf, viewOf, type NumericTensor, type Tensor } from '../../ir/tensor.ts'

/** Largest finite float16, and the smallest above zero (2^-24). */
const largest = 65_504
const smallest = 2 ** -24

/**
 * A float32 tensor in float16, rounded to nearest even. What is too large becomes the largest, what is too small but
 * not zero the smallest, so that no weight turns into an infinity or a zero. NaN and infinities stay.
 */
export function toHalf(tensor: Tensor): { tensor: NumericTensor; clamped: number } {
  const values = viewOf(tensor, 'float32')
  const half = new Float16Array(values.length)
  let clamped = 0
  for (const [index, value] of values.entries()) {
    const kept = clampHalf(value)
    if (kept !== value && !Number.isNaN(value)) clamped += 1
    half[index] = kept
  }
  return { tensor: tensorOf('float16', tensor.dims, new Uint16Array(half.buffer)), clamped }
}

function clampHalf(value: number): number {
  const size = Math.abs(value)
  if (size > largest && size !== Number.POSITIVE_INFINITY) return Math.sign(value) * largest
  return size > 0 && size < smallest ? Math.sign(value) * smallest : value
}
