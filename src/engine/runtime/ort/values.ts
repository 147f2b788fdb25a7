import koffi from 'koffi'
import { HastenError } from '../../../errors.ts'
import { byteLength, dtypeTable } from '../../ir/dtype.ts'
import { elementCount, type NumericTensor, type StringTensor, type Tensor } from '../../ir/tensor.ts'
import { createSlots, type OrtApi } from './api.ts'
import { elementTypes, isRunnable } from './element-types.ts'
import { toDType } from './tensor-info.ts'

/** A native value and the JS memory it points into, which must stay referenced until the value is released. */
export interface NativeInput {
  readonly value: bigint
  readonly memory: Uint8Array | undefined
  /** It belongs to somebody else, who releases it. */
  readonly isLent?: true
}

/**
 * Wraps a tensor as a native value: numbers without a copy where alignment allows, strings copied.
 * @param memoryInfo the CPU's OrtMemoryInfo
 */
export function createValue(api: OrtApi, memoryInfo: bigint, tensor: Tensor): NativeInput {
  const { dtype } = tensor
  if (!isRunnable(dtype)) throw new HastenError('input_dtype', `the runtime takes no ${dtype} tensors`)
  const dims = toInt64(tensor.dims)
  if (tensor.dtype === 'string') {
    return { value: createStringValue(api, tensor, dims), memory: undefined }
  }
  const memory = alignBytes(tensor)
  const args = [memory, memory.byteLength, dims, dims.length, elementTypes[dtype]] as const
  return { value: api.get('CreateTensorWithDataAsOrtValue', memoryInfo, ...args), memory }
}

function toInt64(dims: readonly number[]): BigInt64Array {
  const values = new BigInt64Array(createSlots(dims.length).buffer, 0, dims.length)
  for (let axis = 0; axis < dims.length; axis++) values[axis] = BigInt(dims[axis] ?? 0)
  return values
}

/** Kernels read whole elements: an unaligned view, as in the middle of a request body, is copied first. */
function alignBytes({ dtype, bytes }: NumericTensor): Uint8Array {
  const elementBytes = Math.max(1, dtypeTable[dtype].bits / 8)
  return bytes.byteOffset % elementBytes === 0 ? bytes : new Uint8Array(bytes)
}

function createStringValue(api: OrtApi, { strings }: StringTensor, dims: BigInt64Array): bigint {
  const allocator = api.get('GetAllocatorWithDefaultOptions')
  const value = api.get('CreateTensorAsOrtValue', allocator, dims, dims.length, elementTypes.string)
  try {
    for (const [index, bytes] of strings.entries()) {
      // Unlike FillStringTensor this takes a length, so a NUL byte ends nothing.
      const buffer = api.get('GetResizedStringTensorElementBuffer', value, index, bytes.byteLength)
      if (bytes.byteLength > 0) new Uint8Array(koffi.view(buffer, bytes.byteLength)).set(bytes)
    }
    return value
  } catch (error) {
    api.release('ReleaseValue', value)
    throw error
  }
}

/** Up to so many bytes a copy costs less than a view, of which the garbage collector has to know. */
const copiedBytes = 1024

/** Whether a tensor is over native memory. Strings and small tensors are copies; so are, as it were, empty ones. */
export function isView(tensor: Tensor): tensor is NumericTensor {
  return tensor.dtype !== 'string' && tensor.bytes.byteLength > copiedBytes
}

/** A tensor over a native value's memory, dead once the value is released, or a copy where `isView` says so. */
export function viewValue(api: OrtApi, value: bigint, name: string): Tensor {
  const { elementType, dims } = api.typeAndShape(value)
  const dtype = toDType(elementType, `output "${name}"`)
  if (dtype === 'string') return { dtype, dims, strings: readStrings(api, value, elementCount(dims)) }
  return { dtype, dims, bytes: readBytes(api, value, byteLength(dtype, elementCount(dims))) }
}

function readBytes(api: OrtApi, value: bigint, length: number): Uint8Array {
  if (length === 0) return new Uint8Array(0)
  const memory = api.get('GetTensorMutableData', value)
  return length > copiedBytes ? new Uint8Array(koffi.view(memory, length)) : api.copyBytes(memory, length)
}

function readStrings(api: OrtApi, value: bigint, count: number): Uint8Array[] {
  if (count === 0) return []
  const total = Number(api.get('GetStringTensorDataLength', value))
  const content = new Uint8Array(new ArrayBuffer(Math.max(total, 1)))
  const offsets = createSlots(count)
  api.call('GetStringTensorContent', value, content, total, offsets, count)
  return Array.from(offsets, (start, index) => {
    const end = index + 1 < count ? offsets[index + 1] : total
    return content.subarray(Number(start), Number(end))
  })
}

/** Ends the life of a view made by `viewValue`: from here on it is empty, rather than a window on freed memory. */
export function detachView(tensor: Tensor): void {
  if (!isView(tensor)) return
  const { buffer } = tensor.bytes
  if (buffer instanceof ArrayBuffer && !buffer.detached) buffer.transfer(0)
}
