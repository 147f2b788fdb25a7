import { HastenError } from '../../../errors.ts'
import type { TensorInfo } from '../port.ts'
import { createSlots, type OrtApi } from './api.ts'
import { dtypeOfElement, type RunnableDType } from './element-types.ts'
import { decodeString } from './native-strings.ts'

const directions = {
  input: { count: 'SessionGetInputCount', name: 'SessionGetInputName', type: 'SessionGetInputTypeInfo' },
  output: { count: 'SessionGetOutputCount', name: 'SessionGetOutputName', type: 'SessionGetOutputTypeInfo' },
} as const

/**
 * The inputs or outputs of a native session.
 * @throws HastenError `model_load_failed` for one that is not a tensor, or of a dtype this version does not know.
 */
export function readTensorInfos(api: OrtApi, session: bigint, direction: keyof typeof directions): TensorInfo[] {
  const calls = directions[direction]
  const allocator = api.get('GetAllocatorWithDefaultOptions')
  return Array.from({ length: Number(api.get(calls.count, session)) }, (_, index) => {
    const text = api.get(calls.name, session, index, allocator)
    const name = decodeString(text)
    api.call('AllocatorFree', allocator, text)
    const type = api.get(calls.type, session, index)
    try {
      return { name, ...readTypeInfo(api, type, `${direction} "${name}"`) }
    } finally {
      api.release('ReleaseTypeInfo', type)
    }
  })
}

function readTypeInfo(api: OrtApi, type: bigint, what: string): Omit<TensorInfo, 'name'> {
  // Owned by `type`: not to be released.
  const info = api.get('CastTypeInfoToTensorInfo', type)
  if (info === 0n) {
    throw new HastenError('model_load_failed', `${what} is a sequence, map or optional; only tensors can be served`, {
      hint: 'Export the model with tensors only; for scikit-learn classifiers that is the option zipmap=False.',
    })
  }
  // The C enum has 32 bits; the slot's upper half stays zero.
  const dtype = toDType(Number(api.get('GetTensorElementType', info)), what)
  if (!api.query('TensorTypeAndShapeHasShape', info)) return { dtype, dims: [], anyRank: true }
  const sizes = readDims(api, info)
  const symbols = readSymbols(api, info, sizes.length)
  return {
    dtype,
    dims: sizes.map((size, axis) => (size >= 0 ? size : symbols[axis] || null)),
  }
}

/** @throws HastenError `model_load_failed` for a dtype that this version does not know. */
export function toDType(number: number, what: string): RunnableDType {
  const dtype = dtypeOfElement(number)
  if (dtype !== undefined) return dtype
  throw new HastenError('model_load_failed', `${what} has element type ${number}, which is not supported`)
}

/** Sizes of a tensor type; -1 for one that is not fixed. */
function readDims(api: OrtApi, info: bigint): number[] {
  const rank = Number(api.get('GetDimensionsCount', info))
  if (rank === 0) return []
  const sizes = new BigInt64Array(createSlots(rank).buffer)
  api.call('GetDimensions', info, sizes, rank)
  return Array.from(sizes, Number)
}

function readSymbols(api: OrtApi, info: bigint, rank: number): string[] {
  if (rank === 0) return []
  const pointers = createSlots(rank)
  api.call('GetSymbolicDimensions', info, pointers, rank)
  return Array.from(pointers, decodeString)
}
