/** Element types a tensor can have here, by the names numpy and the ONNX documentation use. */
export type DType = keyof typeof dtypeTable

interface DTypeRow {
  /** TensorProto.DataType in onnx.proto; ONNX Runtime's own numbers differ after 22: its adapter has its own table. */
  readonly onnx: number
  /** Bits per element; 0 for strings, whose length varies. Types under 8 bits are packed, low bits first. */
  readonly bits: number
}

export const dtypeTable = {
  float32: { onnx: 1, bits: 32 },
  uint8: { onnx: 2, bits: 8 },
  int8: { onnx: 3, bits: 8 },
  uint16: { onnx: 4, bits: 16 },
  int16: { onnx: 5, bits: 16 },
  int32: { onnx: 6, bits: 32 },
  int64: { onnx: 7, bits: 64 },
  string: { onnx: 8, bits: 0 },
  bool: { onnx: 9, bits: 8 },
  float16: { onnx: 10, bits: 16 },
  float64: { onnx: 11, bits: 64 },
  uint32: { onnx: 12, bits: 32 },
  uint64: { onnx: 13, bits: 64 },
  complex64: { onnx: 14, bits: 64 },
  complex128: { onnx: 15, bits: 128 },
  bfloat16: { onnx: 16, bits: 16 },
  float8e4m3fn: { onnx: 17, bits: 8 },
  float8e4m3fnuz: { onnx: 18, bits: 8 },
  float8e5m2: { onnx: 19, bits: 8 },
  float8e5m2fnuz: { onnx: 20, bits: 8 },
  uint4: { onnx: 21, bits: 4 },
  int4: { onnx: 22, bits: 4 },
  float4e2m1: { onnx: 23, bits: 4 },
  float8e8m0: { onnx: 24, bits: 8 },
  uint2: { onnx: 25, bits: 2 },
  int2: { onnx: 26, bits: 2 },
} as const satisfies Record<string, DTypeRow>

const byNumber = new Map<number, DType>(
  (Object.entries(dtypeTable) as [DType, DTypeRow][]).map(([name, row]) => [row.onnx, name]),
)

/** The dtype of a TensorProto.DataType number, or undefined for one this version does not know. */
export function dtypeOfNumber(onnx: number): DType | undefined {
  return byNumber.get(onnx)
}

/** Bytes that `count` elements occupy in raw_data; sub-byte types are packed and padded to a whole byte. */
export function byteLength(dtype: DType, count: number): number {
  return Math.ceil((dtypeTable[dtype].bits * count) / 8)
}
