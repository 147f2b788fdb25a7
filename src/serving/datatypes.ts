import type { DType } from '../engine/serving.ts'

interface DatatypeRow {
  readonly dtype: DType
  /** Name in Triton's model configuration. */
  readonly config: string
}

/** Datatypes of the Open Inference Protocol, and BF16, which Triton added. */
export const datatypeTable = {
  BOOL: { dtype: 'bool', config: 'TYPE_BOOL' },
  UINT8: { dtype: 'uint8', config: 'TYPE_UINT8' },
  UINT16: { dtype: 'uint16', config: 'TYPE_UINT16' },
  UINT32: { dtype: 'uint32', config: 'TYPE_UINT32' },
  UINT64: { dtype: 'uint64', config: 'TYPE_UINT64' },
  INT8: { dtype: 'int8', config: 'TYPE_INT8' },
  INT16: { dtype: 'int16', config: 'TYPE_INT16' },
  INT32: { dtype: 'int32', config: 'TYPE_INT32' },
  INT64: { dtype: 'int64', config: 'TYPE_INT64' },
  FP16: { dtype: 'float16', config: 'TYPE_FP16' },
  BF16: { dtype: 'bfloat16', config: 'TYPE_BF16' },
  FP32: { dtype: 'float32', config: 'TYPE_FP32' },
  FP64: { dtype: 'float64', config: 'TYPE_FP64' },
  BYTES: { dtype: 'string', config: 'TYPE_STRING' },
} as const satisfies Record<string, DatatypeRow>

export type Datatype = keyof typeof datatypeTable

const byDtype = new Map<DType, Datatype>(
  (Object.entries(datatypeTable) as [Datatype, DatatypeRow][]).map(([name, row]) => [row.dtype, name]),
)

/** The protocol's name of a dtype; undefined for those it cannot carry (complex, 8-bit and 4-bit floats, int4). */
export function datatypeOf(dtype: DType): Datatype | undefined {
  return byDtype.get(dtype)
}

export function isDatatype(name: string): name is Datatype {
  return Object.hasOwn(datatypeTable, name)
}
