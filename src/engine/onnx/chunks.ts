import { create, toBinary } from '@bufbuild/protobuf'
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire'

import {
  AttributeProtoSchema,
  GraphProtoSchema,
  ModelProtoSchema,
  NodeProtoSchema,
  TensorProtoSchema,
  type AttributeProto,
  type GraphProto,
  type ModelProto,
  type NodeProto,
  type TensorProto,
} from './generated/onnx_pb.js'
import { withoutFields } from './rest.ts'

const { graph: graphField } = ModelProtoSchema.field
const { node: nodeField, initializer: initializerField } = GraphProtoSchema.field
const { attribute: attributeField } = NodeProtoSchema.field
const { t: tensorField, g: subgraphField } = AttributeProtoSchema.field
const { rawData: rawDataField } = TensorProtoSchema.field

/** Below this a node with its constants is encoded as a whole. */
const largeBytes = 2 ** 16

/**
 * The bytes of a model in pieces, its weights being the tensors' own memory, also those of Constant nodes and of
 * subgraphs. Encoding it whole would copy every weight once for each message around it: three times its size at the peak.
 */
export function chunksOf(model: ModelProto): Uint8Array[] {
  const head = toBinary(ModelProtoSchema, withoutFields(ModelProtoSchema, model, ['graph']))
  return model.graph === undefined ? [head] : [head, ...framed(graphField.number, graphChunks(model.graph))]
}

function graphChunks(graph: GraphProto): Uint8Array[] {
  const rest = toBinary(GraphProtoSchema, withoutFields(GraphProtoSchema, graph, ['node', 'initializer']))
  const weights = graph.initializer.flatMap((tensor) => framed(initializerField.number, tensorChunks(tensor)))
  return [...nodesChunks(graph.node), rest, ...weights]
}

/** Runs of nodes without large constants are one message's worth each: fields of a message may be put together. */
function nodesChunks(nodes: readonly NodeProto[]): Uint8Array[] {
  const chunks: Uint8Array[] = []
  let run: NodeProto[] = []
  const flush = () => {
    if (run.length > 0) chunks.push(toBinary(GraphProtoSchema, create(GraphProtoSchema, { node: run })))
    run = []
  }
  for (const node of nodes) {
    if (!node.attribute.some(isLarge)) {
      run.push(node)
      continue
    }
    flush()
    chunks.push(...framed(nodeField.number, nodeChunks(node)))
  }
  flush()
  return chunks
}

function isLarge({ t, g }: AttributeProto): boolean {
  if (t !== undefined && t.rawData.byteLength >= largeBytes) return true
  if (g === undefined) return false
  return (
    g.initializer.some(({ rawData }) => rawData.byteLength >= largeBytes) ||
    g.node.some(({ attribute }) => attribute.some(isLarge))
  )
}

function nodeChunks(node: NodeProto): Uint8Array[] {
  const head = toBinary(NodeProtoSchema, withoutFields(NodeProtoSchema, node, ['attribute']))
  return [head, ...node.attribute.flatMap((each) => framed(attributeField.number, attributeChunks(each)))]
}

function attributeChunks(attribute: AttributeProto): Uint8Array[] {
  const { t, g } = attribute
  const head = toBinary(AttributeProtoSchema, withoutFields(AttributeProtoSchema, attribute, ['t', 'g']))
  const tensor = t === undefined ? [] : framed(tensorField.number, tensorChunks(t))
  const subgraph = g === undefined ? [] : framed(subgraphField.number, graphChunks(g))
  return [head, ...tensor, ...subgraph]
}

function tensorChunks(tensor: TensorProto): Uint8Array[] {
  const head = toBinary(TensorProtoSchema, withoutFields(TensorProtoSchema, tensor, ['rawData']))
  return tensor.rawData.byteLength === 0 ? [head] : [head, ...framed(rawDataField.number, [tensor.rawData])]
}

/** A field of a message: its tag and length, then its content. */
function framed(field: number, content: readonly Uint8Array[]): Uint8Array[] {
  const header = new BinaryWriter().tag(field, WireType.LengthDelimited).uint32(sizeOf(content)).finish()
  return [header, ...content]
}

export function sizeOf(chunks: readonly Uint8Array[]): number {
  return chunks.reduce((sum, { byteLength }) => sum + byteLength, 0)
}

/** The chunks in one array. */
export function joinChunks(chunks: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(sizeOf(chunks))
  let at = 0
  for (const chunk of chunks) {
    whole.set(chunk, at)
    at += chunk.byteLength
  }
  return whole
}
