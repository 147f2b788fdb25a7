import { HastenError } from '../../../errors.ts'
import { isViewable, viewOf, type NumericTensor, type Tensor } from '../../ir/tensor.ts'

/**
 * The elements of a tensor as numbers (64-bit integers beyond 2^53 are rounded), a view where that is possible.
 * @throws HastenError `measurement_failed` for element types that hold no single number
 */
export function numbersOf(tensor: NumericTensor): ArrayLike<number> {
  if (!isViewable(tensor.dtype)) {
    throw new HastenError('measurement_failed', `outputs of dtype ${tensor.dtype} can't be compared`)
  }
  const view = viewOf(tensor)
  if (view instanceof BigInt64Array || view instanceof BigUint64Array) return Float64Array.from(view, Number)
  if (tensor.dtype === 'float16') return new Float16Array(view.buffer, view.byteOffset, view.length)
  if (tensor.dtype === 'bfloat16') return widenBfloat16(view as Uint16Array)
  return view
}

export function isFloat(tensor: Tensor): tensor is NumericTensor {
  return (
    tensor.dtype === 'float32' ||
    tensor.dtype === 'float64' ||
    tensor.dtype === 'float16' ||
    tensor.dtype === 'bfloat16'
  )
}

export function isInteger(tensor: Tensor): tensor is NumericTensor {
  return tensor.dtype === 'bool' || /^u?int/.test(tensor.dtype)
}

/** A bfloat16 is the upper half of a float32. */
function widenBfloat16(bits: Uint16Array): Float32Array {
  return new Float32Array(Uint32Array.from(bits, (half) => half << 16).buffer)
}
