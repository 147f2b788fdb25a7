import { isFloat, numbersOf, type Tensor } from '../../engine/serving.ts'

/** No NaN, and nothing past the range of float32: what a dataset may hold. */
export function isAllFinite(tensor: Tensor): boolean {
  if (!isFloat(tensor)) return true
  const values = numbersOf(tensor)
  for (let index = 0; index < values.length; index++) {
    if (!Number.isFinite(Math.fround(values[index] ?? Number.NaN))) return false
  }
  return true
}
