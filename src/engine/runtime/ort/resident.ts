import { HastenError } from '../../../errors.ts'
import type { DType } from '../../ir/dtype.ts'
import type { ResidentTensor } from '../port.ts'
import type { OrtApi } from './api.ts'
import { elementTypes, isRunnable } from './element-types.ts'

/** Where a session computes, in the runtime's words. */
export interface Device {
  readonly name: 'Cpu' | 'Cuda'
  readonly id: number
}

/** OrtDeviceAllocator and OrtMemTypeDefault (onnxruntime_c_api.h). */
const [deviceAllocator, defaultMemory] = [0, 0]

interface Handle {
  /** The native value; 0 once released. */
  value: bigint
}

/** Memory of the session's device. The native value needs its allocator for as long as it lives. */
export function allocateResident(
  api: OrtApi,
  session: bigint,
  device: Device,
  dtype: DType,
  dims: readonly number[],
): ResidentTensor {
  if (!isRunnable(dtype) || dtype === 'string') {
    throw new HastenError('run_failed', `no memory of a device holds ${dtype}`)
  }
  const allocator = createAllocator(api, session, device)
  const handle: Handle = { value: 0n }
  try {
    const sizes = BigInt64Array.from(dims, BigInt)
    handle.value = api.get('CreateTensorAsOrtValue', allocator, sizes, sizes.length, elementTypes[dtype])
  } catch (error) {
    api.release('ReleaseAllocator', allocator)
    throw error
  }
  return {
    dtype,
    dims,
    handle,
    release() {
      if (handle.value === 0n) return
      api.release('ReleaseValue', handle.value)
      api.release('ReleaseAllocator', allocator)
      handle.value = 0n
    },
  }
}

function createAllocator(api: OrtApi, session: bigint, { name, id }: Device): bigint {
  const info = api.get('CreateMemoryInfo', name, deviceAllocator, id, defaultMemory)
  try {
    return api.get('CreateAllocator', session, info)
  } finally {
    api.release('ReleaseMemoryInfo', info)
  }
}

/** @throws HastenError `run_failed` once it was released */
export function residentValue({ handle }: ResidentTensor): bigint {
  const { value } = handle as Handle
  if (value === 0n) throw new HastenError('run_failed', 'a resident tensor was released before the run')
  return value
}
