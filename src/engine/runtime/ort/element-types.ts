import type { DType } from '../../ir/dtype.ts'

/**
 * ONNXTensorElementDataType of the dtypes that tensors cross into the runtime with. Its numbers are those of ONNX up to
 * 22 and differ beyond; complex types are in the enumeration, but the runtime loads no model that has them.
 */
export const elementTypes = {
  float32: 1,
  uint8: 2,
  int8: 3,
  uint16: 4,
  int16: 5,
  int32: 6,
  int64: 7,
  string: 8,
  bool: 9,
  float16: 10,
  float64: 11,
  uint32: 12,
  uint64: 13,
  bfloat16: 16,
  float8e4m3fn: 17,
  float8e4m3fnuz: 18,
  float8e5m2: 19,
  float8e5m2fnuz: 20,
  uint4: 21,
  int4: 22,
} as const satisfies Partial<Record<DType, number>>

export type RunnableDType = keyof typeof elementTypes

const byNumber = new Map(
  (Object.entries(elementTypes) as [RunnableDType, number][]).map(([dtype, number]) => [number, dtype]),
)

export function isRunnable(dtype: DType): dtype is RunnableDType {
  return Object.hasOwn(elementTypes, dtype)
}

/** The dtype of an element type of the runtime, or undefined for one that no tensor here can have. */
export function dtypeOfElement(elementType: number): RunnableDType | undefined {
  return byNumber.get(elementType)
}
