import { create } from '@bufbuild/protobuf'

import { HastenError } from '../../errors.ts'
import type { Graph, Node, Value } from '../ir/graph.ts'
import { allGraphs, type Model, type ModelFunction } from '../ir/model.ts'
import { topologicalOrder } from '../ir/order.ts'
import { encodeAttribute, type AttributeEncoder } from './attribute-codec.ts'
import { chunksOf, joinChunks, sizeOf } from './chunks.ts'
import { initializersAsInputs, type CarriedValue } from './decode.ts'
import {
  FunctionProtoSchema,
  GraphProtoSchema,
  ModelProtoSchema,
  NodeProtoSchema,
  OperatorSetIdProtoSchema,
  StringStringEntryProtoSchema,
  type FunctionProto,
  type GraphProto,
  type ModelProto,
  type NodeProto,
  type OperatorSetIdProto,
  type StringStringEntryProto,
  type ValueInfoProto,
} from './generated/onnx_pb.js'
import { setField, startFrom } from './rest.ts'
import { encodeTensor, type ExternalWriter } from './tensor-codec.ts'
import { encodeInfo, type CarriedInfo } from './type-codec.ts'

/** A protobuf message can't be longer than a signed 32-bit length says. */
export const maxMessageBytes = 2 ** 31 - 1

/**
 * Encodes a model as one ONNX file, nodes in topological order, weights inside.
 * @throws HastenError `model_too_large` over 2 GiB (use `saveModel`), `model_invalid` when the graph has a cycle
 */
export function encodeModel(model: Model): Uint8Array {
  return joinChunks(encodeChunks(model, undefined))
}

/** As `encodeModel`, in chunks, with the bytes of the initializers that `external` takes elsewhere. */
export function encodeChunks(model: Model, external: ExternalWriter | undefined): Uint8Array[] {
  const weights = external === undefined ? weightBytes(model) : 0
  if (weights > maxMessageBytes) throw tooLarge(weights)
  const chunks = chunksOf(modelToProto(model, external))
  const bytes = sizeOf(chunks)
  if (bytes > maxMessageBytes) throw tooLarge(bytes)
  return chunks
}

function tooLarge(bytes: number): HastenError {
  return new HastenError('model_too_large', `the model has ${bytes} bytes, one ONNX file holds ${maxMessageBytes}`)
}

/** Bytes of all initializers, those of subgraphs included. */
export function weightBytes(model: Model): number {
  let bytes = 0
  for (const graph of allGraphs(model)) {
    for (const { initializer } of graph.initializers) {
      if (initializer !== undefined && initializer.dtype !== 'string') bytes += initializer.bytes.byteLength
    }
  }
  return bytes
}

function modelToProto(model: Model, external: ExternalWriter | undefined): ModelProto {
  const proto = startFrom(ModelProtoSchema, model.opaque)
  proto.irVersion = BigInt(model.irVersion)
  setField(proto, 'producerName', model.producerName)
  setField(proto, 'producerVersion', model.producerVersion)
  proto.opsetImport = encodeOpsets(model.opsetImports, proto.opsetImport)
  proto.metadataProps = encodeProps(model.metadataProps, proto.metadataProps)
  proto.graph = graphToProto(model.graph, external)
  if (model.irVersion < initializersAsInputs) proto.graph.input.push(...constantInputs(model.graph))
  proto.functions = model.functions.map((each) => functionToProto(each))
  return proto
}

function constantInputs(graph: Graph): ValueInfoProto[] {
  return [...graph.initializers].map((value) => encodeInfo(value.name, value.type, carriedOf(value).input))
}

function encodeOpsets(versions: Map<string, number>, carried: OperatorSetIdProto[]): OperatorSetIdProto[] {
  return [...versions].map(([domain, version]) => {
    const known = carried.find((each) => each.domain === domain || (domain === '' && each.domain === 'ai.onnx'))
    const proto = startFrom(OperatorSetIdProtoSchema, known)
    if (known === undefined) proto.domain = domain
    proto.version = BigInt(version)
    return proto
  })
}

function encodeProps(props: Map<string, string>, carried: StringStringEntryProto[]): StringStringEntryProto[] {
  return [...props].map(([key, value]) => {
    const known = carried.find((each) => each.key === key && each.value === value)
    return known ?? create(StringStringEntryProtoSchema, { key, value })
  })
}

function graphToProto(graph: Graph, external: ExternalWriter | undefined): GraphProto {
  const proto = startFrom(GraphProtoSchema, graph.opaque)
  setField(proto, 'name', graph.name)
  proto.node = nodesToProto(graph, external)
  proto.input = graph.inputs.map((value) => encodeInfo(value.name, value.type, carriedOf(value).input))
  proto.output = graph.outputs.map((value) => encodeInfo(value.name, value.type, carriedOf(value).output))
  proto.initializer = []
  for (const value of graph.initializers) {
    if (value.initializer === undefined) continue
    proto.initializer.push(encodeTensor(value.initializer, value.name, carriedOf(value).tensor, external))
  }
  proto.sparseInitializer = graph.sparseInitializers.flatMap((value) => carriedOf(value).sparse ?? [])
  proto.valueInfo = [...proto.valueInfo, ...innerInfos(graph)]
  return proto
}

function carriedOf(value: Value): CarriedValue {
  return value.opaque ?? {}
}

/** value_info of what is neither input nor output, and of initializers only where the file had it. */
function innerInfos(graph: Graph): ValueInfoProto[] {
  const inner = [...graph.nodes].flatMap((node) => node.outputs)
  const initializers = [...graph.initializers].filter((value) => carriedOf(value).info !== undefined)
  return [...inner, ...initializers].flatMap((value) => {
    const carried: CarriedInfo | undefined = carriedOf(value).info
    const wanted = carried !== undefined || (value.type !== undefined && !graph.outputs.includes(value))
    return wanted ? [encodeInfo(value.name, value.type, carried)] : []
  })
}

function nodesToProto(graph: Graph, external: ExternalWriter | undefined): NodeProto[] {
  const { order, cycle } = topologicalOrder(graph)
  if (cycle.length > 0) {
    const names = cycle.map((node) => `'${node.name}'`).join(' → ')
    throw new HastenError('model_invalid', `graph '${graph.name}' has a cycle: ${names}`)
  }
  const encoder: AttributeEncoder = {
    tensor: (tensor, carried) => encodeTensor(tensor, nameOf(carried), carried),
    graph: (subgraph) => graphToProto(subgraph, external),
  }
  return order.map((node) => nodeToProto(node, encoder))
}

function nameOf(carried: unknown): string {
  return (carried as { name?: string } | undefined)?.name ?? ''
}

function nodeToProto(node: Node, encoder: AttributeEncoder): NodeProto {
  const proto = startFrom(NodeProtoSchema, node.opaque)
  setField(proto, 'name', node.name)
  setField(proto, 'opType', node.opType)
  if (proto.domain !== 'ai.onnx' || node.domain !== '') setField(proto, 'domain', node.domain)
  setField(proto, 'overload', node.overload)
  proto.input = node.inputs.map((value) => value?.name ?? '')
  proto.output = node.outputs.map((value) => value.name)
  proto.attribute = [...node.attributes].map(([name, value]) => encodeAttribute(name, value, encoder))
  return proto
}

function functionToProto(each: ModelFunction): FunctionProto {
  const proto = startFrom(FunctionProtoSchema, each.opaque)
  setField(proto, 'name', each.name)
  setField(proto, 'domain', each.domain)
  setField(proto, 'overload', each.overload)
  proto.input = each.graph.inputs.map((value) => value.name)
  proto.output = each.graph.outputs.map((value) => value.name)
  proto.node = nodesToProto(each.graph, undefined)
  proto.opsetImport = encodeOpsets(each.opsetImports, proto.opsetImport)
  proto.valueInfo = [...proto.valueInfo, ...innerInfos(each.graph)]
  if (each.opaque === undefined) proto.attribute = [...each.attributes]
  return proto
}
