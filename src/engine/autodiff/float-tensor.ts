import { HastenError } from '../../errors.ts'
import type { DType } from '../ir/dtype.ts'
import { tensorOf, type NumericTensor } from '../ir/tensor.ts'

type Maker = (dims: readonly number[], values: readonly number[]) => NumericTensor

const makers: Partial<Record<DType, Maker>> = {
  float32: (dims, values) => tensorOf('float32', dims, Float32Array.from(values)),
  float64: (dims, values) => tensorOf('float64', dims, Float64Array.from(values)),
  float16: (dims, values) => tensorOf('float16', dims, new Uint16Array(Float16Array.from(values).buffer)),
}

/** Whether gradients of values of this dtype can be computed. */
export function isFloat(dtype: DType): boolean {
  return dtype in makers
}

/**
 * A constant of a float dtype.
 * @throws HastenError `not_differentiable` for other dtypes
 */
export function floatTensor(dtype: DType, dims: readonly number[], values: readonly number[]): NumericTensor {
  const made = makers[dtype]?.(dims, values)
  if (made === undefined) throw new HastenError('not_differentiable', `there are no gradients in ${dtype}`)
  return made
}
