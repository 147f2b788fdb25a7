import { Tensor as BindingTensor } from 'onnxruntime-node'
import { HastenError } from '../../../errors.ts'
import type { DType } from '../../ir/dtype.ts'
import type { NumericTensor, Tensor } from '../../ir/tensor.ts'

/** The typed array that the binding wants for a dtype. */
const arrayTypes = {
  float32: Float32Array,
  float64: Float64Array,
  int8: Int8Array,
  int16: Int16Array,
  int32: Int32Array,
  int64: BigInt64Array,
  uint8: Uint8Array,
  uint16: Uint16Array,
  uint32: Uint32Array,
  uint64: BigUint64Array,
  bool: Uint8Array,
} as const satisfies Partial<Record<DType, unknown>>

type BindableDType = keyof typeof arrayTypes

const isBindable = (dtype: string): dtype is BindableDType => Object.hasOwn(arrayTypes, dtype)

/**
 * A tensor of ours as one of the binding's; a copy where the binding cannot take the memory as it is.
 * @throws HastenError `input_dtype` for a dtype that the binding lacks, `input_data` for strings that it would alter.
 */
export function toBinding(tensor: Tensor, name: string): BindingTensor {
  if (tensor.dtype === 'string') {
    return new BindingTensor('string', decodeTexts(tensor.strings, name), tensor.dims)
  }
  if (tensor.dtype === 'float16') return toFloat16(tensor)
  if (!isBindable(tensor.dtype)) {
    throw new HastenError('input_dtype', `input "${name}": the ort-node adapter takes no ${tensor.dtype} tensors`)
  }
  const data = viewAs(arrayTypes[tensor.dtype], tensor.bytes)
  return new BindingTensor(tensor.dtype, data as Float32Array, tensor.dims)
}

/**
 * The class makes a Float16Array of float16 data where there is one, whose length the native side takes for zero
 * (microsoft/onnxruntime#32323); a Uint16Array under the name float16 it reads right.
 */
function toFloat16({ bytes, dims }: NumericTensor): BindingTensor {
  return Object.assign(new BindingTensor('uint16', viewAs(Uint16Array, bytes), dims), { type: 'float16' })
}

function viewAs<Type extends (typeof arrayTypes)[BindableDType]>(type: Type, bytes: Uint8Array): InstanceType<Type> {
  const usable = bytes.buffer instanceof ArrayBuffer && bytes.byteOffset % type.BYTES_PER_ELEMENT === 0
  const { buffer, byteOffset, byteLength } = usable ? bytes : new Uint8Array(bytes)
  return new type(buffer as ArrayBuffer, byteOffset, byteLength / type.BYTES_PER_ELEMENT) as InstanceType<Type>
}

/** The binding takes JS strings and hands them to C up to the first NUL: refuse what would arrive changed. */
function decodeTexts(strings: readonly Uint8Array[], name: string): string[] {
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
  return strings.map((bytes, index) => {
    if (bytes.includes(0)) throw alteredError(name, index, 'a NUL byte')
    try {
      return decoder.decode(bytes)
    } catch (error) {
      throw alteredError(name, index, 'bytes that are not UTF-8', error)
    }
  })
}

function alteredError(name: string, index: number, what: string, cause?: unknown): HastenError {
  const detail = `input "${name}": expected text, got ${what} in string ${index}, which the ort-node adapter cannot pass on`
  return new HastenError('input_data', detail, { cause })
}

/** A tensor of the binding as one of ours, over the same memory. */
export function fromBinding(tensor: BindingTensor): Tensor {
  const dims = [...tensor.dims]
  if (tensor.type === 'string') {
    const encoder = new TextEncoder()
    return { dtype: 'string', dims, strings: (tensor.data as string[]).map((text) => encoder.encode(text)) }
  }
  const { buffer, byteOffset, byteLength } = tensor.data as Uint8Array
  return { dtype: tensor.type, dims, bytes: new Uint8Array(buffer, byteOffset, byteLength) }
}
