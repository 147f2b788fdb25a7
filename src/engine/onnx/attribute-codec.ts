import { HastenError } from '../../errors.ts'
import type { Attribute, AttributeKind } from '../ir/attribute.ts'
import type { Graph } from '../ir/graph.ts'
import type { Tensor } from '../ir/tensor.ts'
import {
  AttributeProto_AttributeType as Kind,
  AttributeProtoSchema,
  type AttributeProto,
  type GraphProto,
  type TensorProto,
} from './generated/onnx_pb.js'
import type { DecodedTensor } from './tensor-codec.ts'
import { setField, startFrom, withoutFields } from './rest.ts'

/** What attributes need of the model around them. */
export interface AttributeDecoder {
  tensor(proto: TensorProto): DecodedTensor
  graph(proto: GraphProto): Graph
}

export interface AttributeEncoder {
  tensor(tensor: Tensor, carried: unknown): TensorProto
  graph(graph: Graph): GraphProto
}

/** The message carried with an attribute; tensors leave their own rests in its `t` and `tensors`. */
export function decodeAttribute(proto: AttributeProto, decoder: AttributeDecoder): Attribute {
  if (proto.refAttrName !== '') return { kind: 'reference', name: proto.refAttrName, opaque: proto }
  const kind = kindOf(proto)
  const opaque = withoutFields(AttributeProtoSchema, proto, valueFields)
  switch (kind) {
    case 'tensor': {
      if (proto.t === undefined) throw new HastenError('model_invalid', `attribute '${proto.name}' has no tensor`)
      const { tensor, rest } = decoder.tensor(proto.t)
      opaque.t = rest
      return { kind, value: tensor, opaque }
    }
    case 'tensors': {
      const decoded = proto.tensors.map((tensor) => decoder.tensor(tensor))
      opaque.tensors = decoded.map(({ rest }) => rest)
      return { kind, value: decoded.map(({ tensor }) => tensor), opaque }
    }
    case 'graph':
      if (proto.g === undefined) throw new HastenError('model_invalid', `attribute '${proto.name}' has no graph`)
      return { kind, value: decoder.graph(proto.g), opaque }
    case 'graphs':
      return { kind, value: proto.graphs.map((graph) => decoder.graph(graph)), opaque }
    case 'other':
      return { kind, opaque: proto }
    case 'float':
    case 'int':
    case 'string':
    case 'floats':
    case 'ints':
    case 'strings':
      return { kind, value: proto[plainFields[kind]], opaque } as Attribute
  }
}

const plainFields = { float: 'f', int: 'i', string: 's', floats: 'floats', ints: 'ints', strings: 'strings' } as const
const valueFields = [...Object.values(plainFields), 't', 'g', 'tensors', 'graphs'] as const

const kindNumbers: Record<AttributeKind, Kind> = {
  float: Kind.FLOAT,
  int: Kind.INT,
  string: Kind.STRING,
  tensor: Kind.TENSOR,
  graph: Kind.GRAPH,
  floats: Kind.FLOATS,
  ints: Kind.INTS,
  strings: Kind.STRINGS,
  tensors: Kind.TENSORS,
  graphs: Kind.GRAPHS,
}
const kindsByNumber = new Map(Object.entries(kindNumbers).map(([kind, number]) => [number, kind as AttributeKind]))

function kindOf(proto: AttributeProto): AttributeKind | 'other' {
  if (proto.type !== Kind.UNDEFINED) return kindsByNumber.get(proto.type) ?? 'other'
  return guessKind(proto)
}

// Files of IR version 1 have no `type`: the field that is set tells.
function guessKind(proto: AttributeProto): AttributeKind | 'other' {
  const single = (['f', 'i', 's', 't', 'g'] as const).findIndex((field) => Object.hasOwn(proto, field))
  if (single >= 0) return (['float', 'int', 'string', 'tensor', 'graph'] as const)[single] ?? 'other'
  const lists = ['floats', 'ints', 'strings', 'tensors', 'graphs'] as const
  return lists.find((field) => proto[field].length > 0) ?? 'other'
}

export function encodeAttribute(name: string, value: Attribute, encoder: AttributeEncoder): AttributeProto {
  const carried = value.opaque as AttributeProto | undefined
  const proto = startFrom(AttributeProtoSchema, carried)
  setField(proto, 'name', name)
  if (value.kind === 'other') return proto
  if (value.kind === 'reference') {
    proto.refAttrName = value.name
    return proto
  }
  proto.type = kindNumbers[value.kind]
  switch (value.kind) {
    case 'tensor':
      proto.t = encoder.tensor(value.value, carried?.t)
      break
    case 'tensors':
      proto.tensors = value.value.map((tensor, index) => encoder.tensor(tensor, carried?.tensors[index]))
      break
    case 'graph':
      proto.g = encoder.graph(value.value)
      break
    case 'graphs':
      proto.graphs = value.value.map((graph) => encoder.graph(graph))
      break
    case 'float':
    case 'int':
    case 'string':
    case 'floats':
    case 'ints':
    case 'strings':
      Object.assign(proto, { [plainFields[value.kind]]: value.value })
  }
  return proto
}
