import { create } from '@bufbuild/protobuf'

import { dtypeOfNumber, dtypeTable } from '../ir/dtype.ts'
import type { Dim, ValueType } from '../ir/value-type.ts'
import {
  TensorShapeProto_DimensionSchema,
  TensorShapeProtoSchema,
  TypeProto_TensorSchema,
  TypeProtoSchema,
  ValueInfoProtoSchema,
  type TensorShapeProto,
  type TensorShapeProto_Dimension,
  type TypeProto,
  type ValueInfoProto,
} from './generated/onnx_pb.js'
import { setField, startFrom } from './rest.ts'

/** The value info a value was read from, and the type it then had: written back whole while that type stands. */
export interface CarriedInfo {
  readonly info: ValueInfoProto
  readonly type: ValueType | undefined
}

/** The tensor type of a value info; undefined for sequences, maps, optionals and unknown element types. */
export function decodeType(proto: TypeProto | undefined): ValueType | undefined {
  if (proto?.value.case !== 'tensorType') return undefined
  const { elemType, shape } = proto.value.value
  const dtype = dtypeOfNumber(elemType)
  return dtype === undefined ? undefined : { dtype, dims: shape === undefined ? null : shape.dim.map(decodeDim) }
}

// Exporters write -1 for "any size", as the runtime understands it.
function decodeDim({ value }: TensorShapeProto_Dimension): Dim {
  if (value.case === 'dimParam') return value.value === '' ? null : value.value
  return value.case === 'dimValue' && value.value !== -1n ? Number(value.value) : null
}

export function encodeInfo(
  name: string,
  type: ValueType | undefined,
  carried: CarriedInfo | undefined,
): ValueInfoProto {
  const proto = startFrom(ValueInfoProtoSchema, carried?.info)
  setField(proto, 'name', name)
  if (type !== undefined && type !== carried?.type) proto.type = encodeType(type, carried?.info.type)
  return proto
}

function encodeType({ dtype, dims }: ValueType, carried: TypeProto | undefined): TypeProto {
  const proto = startFrom(TypeProtoSchema, carried)
  const tensor = create(TypeProto_TensorSchema, { elemType: dtypeTable[dtype].onnx })
  if (dims !== null) tensor.shape = encodeShape(dims)
  proto.value = { case: 'tensorType', value: tensor }
  return proto
}

function encodeShape(dims: readonly Dim[]): TensorShapeProto {
  return create(TensorShapeProtoSchema, {
    dim: dims.map((dim) => create(TensorShapeProto_DimensionSchema, { value: encodeDim(dim) })),
  })
}

function encodeDim(dim: Dim): TensorShapeProto_Dimension['value'] {
  if (dim === null) return { case: undefined }
  return typeof dim === 'string' ? { case: 'dimParam', value: dim } : { case: 'dimValue', value: BigInt(dim) }
}
