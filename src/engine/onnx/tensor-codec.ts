import { HastenError } from '../../errors.ts'
import { dtypeOfNumber, dtypeTable, type DType } from '../ir/dtype.ts'
import type { NumericTensor, Tensor } from '../ir/tensor.ts'
import { maxRank } from '../ir/value-type.ts'
import { parseReference, type ExternalReader, type ExternalReference } from './external-data.ts'
import { TensorProto_DataLocation, TensorProtoSchema, type TensorProto } from './generated/onnx_pb.js'
import { setField, startFrom, withoutFields } from './rest.ts'

/** The fields of TensorProto that the IR's Tensor stands for. */
const modelledFields = [
  'dims',
  'dataType',
  'floatData',
  'int32Data',
  'stringData',
  'int64Data',
  'rawData',
  'doubleData',
  'uint64Data',
  'externalData',
  'dataLocation',
] as const

/** A tensor and the fields of its message that the IR does not model. */
export interface DecodedTensor {
  readonly tensor: Tensor
  readonly rest: TensorProto
}

/**
 * Decodes a TensorProto. raw_data stays a view; the typed fields become raw bytes; external data is read by
 * `external` when the bytes are first asked for.
 * @throws HastenError `model_invalid` when the data is not what dtype and dims say
 */
export function decodeTensor(proto: TensorProto, external: ExternalReader): DecodedTensor {
  return { tensor: tensorOfProto(proto, external), rest: withoutFields(TensorProtoSchema, proto, modelledFields) }
}

function tensorOfProto(proto: TensorProto, external: ExternalReader): Tensor {
  const { dtype, dims, count } = headOf(proto)
  const isExternal = proto.dataLocation === TensorProto_DataLocation.EXTERNAL
  if (dtype === 'string') {
    if (isExternal || BigInt(proto.stringData.length) !== count) throw mismatch(proto, dims, count, 'strings')
    return { dtype, dims, strings: proto.stringData }
  }
  if (isExternal) return externalTensor({ dtype, dims }, referenceOf(proto), external)
  const length = lengthOf(dtype, count)
  const bytes = bytesOf(proto, dtype)
  if (BigInt(bytes.byteLength) !== length) throw mismatch(proto, dims, length, 'bytes', bytes.byteLength)
  return { dtype, dims, bytes }
}

/** dtype, dims and number of elements; the number may be past what a float64 counts. */
function headOf(proto: TensorProto): { dtype: DType; dims: number[]; count: bigint } {
  const dtype = dtypeOfNumber(proto.dataType)
  if (dtype === undefined) throw invalid(proto, `has element type ${proto.dataType}, which is not known`)
  if (proto.dims.length > maxRank) throw invalid(proto, `has ${proto.dims.length} dims, over ${maxRank}`)
  const dims = proto.dims.map(Number)
  if (proto.dims.some((dim) => dim < 0n)) throw invalid(proto, `has a negative dim in [${dims.join(', ')}]`)
  return { dtype, dims, count: proto.dims.reduce((product, dim) => product * dim, 1n) }
}

function lengthOf(dtype: DType, count: bigint): bigint {
  return (BigInt(dtypeTable[dtype].bits) * count + 7n) / 8n
}

/**
 * The external reference of a tensor, checked as far as that goes without looking at the file.
 * @throws HastenError `model_unsafe`, `model_invalid`
 */
export function referenceOf(proto: TensorProto): ExternalReference {
  const { dtype, dims, count } = headOf(proto)
  const length = lengthOf(dtype, count)
  if (dtype === 'string' || length > Number.MAX_SAFE_INTEGER) throw mismatch(proto, dims, length, 'bytes')
  return parseReference(proto, Number(length))
}

function externalTensor(
  head: Pick<NumericTensor, 'dtype' | 'dims'>,
  reference: ExternalReference,
  external: ExternalReader,
): NumericTensor {
  let read: Uint8Array | undefined
  return {
    ...head,
    get bytes() {
      return (read ??= external(reference))
    },
  }
}

type TypedField = (proto: TensorProto) => ArrayBufferView

const bytesField: TypedField = ({ int32Data }) => Uint8Array.from(int32Data)
const halvesField: TypedField = ({ int32Data }) => Uint16Array.from(int32Data)
const floatsField: TypedField = ({ floatData }) => Float32Array.from(floatData)
const doublesField: TypedField = ({ doubleData }) => Float64Array.from(doubleData)

/** Which typed field holds a dtype when raw_data is absent (the comments on TensorProto in the specification). */
const typedFields: Record<Exclude<DType, 'string'>, TypedField> = {
  float32: floatsField,
  complex64: floatsField,
  float64: doublesField,
  complex128: doublesField,
  int64: ({ int64Data }) => BigInt64Array.from(int64Data),
  uint64: ({ uint64Data }) => BigUint64Array.from(uint64Data),
  uint32: ({ uint64Data }) => Uint32Array.from(uint64Data, Number),
  int32: ({ int32Data }) => Int32Array.from(int32Data),
  int16: halvesField,
  uint16: halvesField,
  float16: halvesField,
  bfloat16: halvesField,
  int8: bytesField,
  uint8: bytesField,
  bool: bytesField,
  float8e4m3fn: bytesField,
  float8e4m3fnuz: bytesField,
  float8e5m2: bytesField,
  float8e5m2fnuz: bytesField,
  float8e8m0: bytesField,
  // Packed types keep their packing: one entry is one byte.
  uint4: bytesField,
  int4: bytesField,
  float4e2m1: bytesField,
  uint2: bytesField,
  int2: bytesField,
}

function bytesOf(proto: TensorProto, dtype: Exclude<DType, 'string'>): Uint8Array {
  if (proto.rawData.byteLength > 0) return proto.rawData
  const { buffer, byteOffset, byteLength } = typedFields[dtype](proto)
  return new Uint8Array(buffer, byteOffset, byteLength)
}

/** Where an encoded tensor's bytes go: undefined leaves them in the message. */
export type ExternalWriter = (name: string, tensor: NumericTensor) => Map<string, string> | undefined

/** Encodes a tensor over what was carried of its message; numbers go to raw_data or to `external`. */
export function encodeTensor(tensor: Tensor, name: string, carried: unknown, external?: ExternalWriter): TensorProto {
  const proto = startFrom(TensorProtoSchema, carried)
  setField(proto, 'name', name)
  proto.dims = tensor.dims.map(BigInt)
  proto.dataType = dtypeTable[tensor.dtype].onnx
  if (tensor.dtype === 'string') {
    proto.stringData = [...tensor.strings]
    return proto
  }
  const entries = external?.(name, tensor)
  if (entries === undefined) {
    if (tensor.bytes.byteLength > 0) proto.rawData = tensor.bytes
    return proto
  }
  proto.dataLocation = TensorProto_DataLocation.EXTERNAL
  proto.externalData = [...entries].map(([key, value]) => ({
    $typeName: 'onnx.StringStringEntryProto' as const,
    key,
    value,
  }))
  return proto
}

function invalid(proto: TensorProto, problem: string): HastenError {
  return new HastenError('model_invalid', `tensor '${proto.name}' ${problem}`)
}

function mismatch(proto: TensorProto, dims: number[], wanted: bigint, unit: string, found?: number): HastenError {
  const holds = found === undefined ? 'does not hold them' : `holds ${found}`
  return invalid(proto, `of dims [${dims.join(', ')}] needs ${wanted} ${unit} and ${holds}`)
}
