import { toBinary } from '@bufbuild/protobuf'
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire'

import {
  GraphProtoSchema,
  ModelProtoSchema,
  TensorProtoSchema,
  type ModelProto,
  type TensorProto,
} from './generated/onnx_pb.js'
import { withoutFields } from './rest.ts'

const { graph: graphField } = ModelProtoSchema.field
const { initializer: initializerField } = GraphProtoSchema.field
const { rawData: rawDataField } = TensorProtoSchema.field

/**
 * The bytes of a model in pieces, its weights being the tensors' own memory. Encoding it whole would copy every
 * weight once for each message around it: three times its size at the peak.
 */
export function chunksOf(model: ModelProto): Uint8Array[] {
  const head = toBinary(ModelProtoSchema, withoutFields(ModelProtoSchema, model, ['graph']))
  if (model.graph === undefined) return [head]
  const body = toBinary(GraphProtoSchema, withoutFields(GraphProtoSchema, model.graph, ['initializer']))
  const weights = model.graph.initializer.flatMap((tensor) => framed(initializerField.number, tensorChunks(tensor)))
  return [head, ...framed(graphField.number, [body, ...weights])]
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
