import { HastenError } from '../../errors.ts'
import { byteLength, type DType } from './dtype.ts'

/** Numbers, row-major, little-endian, as ONNX's raw_data and the Open Inference Protocol's binary data hold them. */
export interface NumericTensor {
  readonly dtype: Exclude<DType, 'string'>
  readonly dims: readonly number[]
  /** May be a view of a larger buffer and unaligned: read it through `viewOf`. */
  readonly bytes: Uint8Array
}

/** Strings as bytes: ONNX strings are UTF-8 by convention only, and Open Inference BYTES are any bytes. */
export interface StringTensor {
  readonly dtype: 'string'
  readonly dims: readonly number[]
  readonly strings: readonly Uint8Array[]
}

/** A value of the runtime, a weight, a sample: the same type everywhere. */
export type Tensor = NumericTensor | StringTensor

interface ViewTypes {
  float32: Float32Array
  float64: Float64Array
  uint8: Uint8Array
  int8: Int8Array
  uint16: Uint16Array
  int16: Int16Array
  uint32: Uint32Array
  int32: Int32Array
  uint64: BigUint64Array
  int64: BigInt64Array
  bool: Uint8Array
  float16: Uint16Array
  bfloat16: Uint16Array
}

/** The dtypes whose elements a typed array can show; float16 and bfloat16 show as their 16 bits. */
export type ViewableDType = keyof ViewTypes

const viewConstructors = {
  float32: Float32Array,
  float64: Float64Array,
  uint8: Uint8Array,
  int8: Int8Array,
  uint16: Uint16Array,
  int16: Int16Array,
  uint32: Uint32Array,
  int32: Int32Array,
  uint64: BigUint64Array,
  int64: BigInt64Array,
  bool: Uint8Array,
  float16: Uint16Array,
  bfloat16: Uint16Array,
} as const

export type TensorView = ViewTypes[ViewableDType]

export function isViewable(dtype: DType): dtype is ViewableDType {
  return dtype in viewConstructors
}

/** Number of elements of `dims`; 1 for a scalar. */
export function elementCount(dims: readonly number[]): number {
  return dims.reduce((product, dim) => product * dim, 1)
}

/**
 * The elements of a tensor as a typed array: a view where alignment allows, else a copy.
 * @throws HastenError `input_dtype` for strings, complex and sub-byte types.
 */
export function viewOf<D extends ViewableDType>(tensor: Tensor, dtype?: D): ViewTypes[D] {
  if (tensor.dtype === 'string' || !isViewable(tensor.dtype) || (dtype !== undefined && tensor.dtype !== dtype)) {
    throw new HastenError('input_dtype', `expected a ${dtype ?? 'numeric'} tensor, got ${tensor.dtype}`)
  }
  const constructor = viewConstructors[tensor.dtype]
  const { bytes } = tensor
  const aligned = bytes.byteOffset % constructor.BYTES_PER_ELEMENT === 0 ? bytes : new Uint8Array(bytes)
  const length = aligned.byteLength / constructor.BYTES_PER_ELEMENT
  return new constructor(aligned.buffer as ArrayBuffer, aligned.byteOffset, length) as ViewTypes[D]
}

/**
 * A tensor over the memory of a typed array (no copy).
 * @throws HastenError `input_data` when the element count is not that of `dims`.
 */
export function tensorOf<D extends ViewableDType>(
  dtype: D,
  dims: readonly number[],
  data: ViewTypes[D],
): NumericTensor {
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
  if (bytes.byteLength !== byteLength(dtype, elementCount(dims))) {
    throw new HastenError('input_data', `${data.length} elements do not fill a tensor of dims [${dims.join(', ')}]`)
  }
  return { dtype, dims, bytes }
}

/** A string tensor from text, encoded as UTF-8. */
export function stringTensor(dims: readonly number[], texts: readonly string[]): StringTensor {
  const encoder = new TextEncoder()
  return { dtype: 'string', dims, strings: texts.map((text) => encoder.encode(text)) }
}
