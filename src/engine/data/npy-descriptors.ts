import type { DType } from '../ir/dtype.ts'

const descriptors: Partial<Record<DType, string>> = {
  float16: '<f2',
  float32: '<f4',
  float64: '<f8',
  int8: '|i1',
  int16: '<i2',
  int32: '<i4',
  int64: '<i8',
  uint8: '|u1',
  uint16: '<u2',
  uint32: '<u4',
  uint64: '<u8',
  bool: '|b1',
}

/** numpy's name of a numeric dtype; undefined for those it doesn't have. */
export function npyDescriptor(dtype: DType): string | undefined {
  return descriptors[dtype]
}
