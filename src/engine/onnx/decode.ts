import { fromBinary } from '@bufbuild/protobuf'

import { HastenError, messageOf } from '../../errors.ts'
import { Graph, type Node, type Value } from '../ir/graph.ts'
import type { Model, ModelFunction } from '../ir/model.ts'
import { decodeAttribute, type AttributeDecoder } from './attribute-codec.ts'
import type { ExternalReader, ExternalReference } from './external-data.ts'
import {
  FunctionProtoSchema,
  GraphProtoSchema,
  ModelProtoSchema,
  NodeProtoSchema,
  type FunctionProto,
  type GraphProto,
  type ModelProto,
  type NodeProto,
  type OperatorSetIdProto,
  type SparseTensorProto,
  type ValueInfoProto,
} from './generated/onnx_pb.js'
import { withoutFields } from './rest.ts'
import { externalTensors } from './scan-tensors.ts'
import { decodeTensor, referenceOf } from './tensor-codec.ts'
import { decodeType, type CarriedInfo } from './type-codec.ts'

/** What is carried on a Value: the messages it was read from. */
export interface CarriedValue {
  input?: CarriedInfo
  output?: CarriedInfo
  info?: CarriedInfo
  tensor?: unknown
  /** The whole message of a sparse initializer, which the IR has no tensor for. */
  sparse?: SparseTensorProto
}

export interface DecodeOptions {
  /** Reads external data; without it a model that has any is refused with `model_unsafe`. */
  readonly externalData?: ExternalReader
  /** Sees every reference to external data before anything is read; may throw. */
  readonly inspectExternal?: (reference: ExternalReference) => void
}

/**
 * Decodes an ONNX file. Weights are views of `bytes`, which must not change afterwards. Nodes may be in any order.
 * @throws HastenError `model_invalid` for bytes that are not a model, names defined twice, inputs that nothing
 * gives, tensors that do not fit their dims; `model_unsafe` for external data outside the folder
 */
export function decodeModel(bytes: Uint8Array, options: DecodeOptions = {}): Model {
  const proto = parseProto(bytes)
  if (proto.graph === undefined) throw new HastenError('model_invalid', 'the file holds no graph')
  const external = options.externalData ?? refuseExternal
  for (const tensor of externalTensors(proto)) options.inspectExternal?.(referenceOf(tensor))
  const graph = decodeGraph(proto.graph, { external, outer: undefined })
  if (proto.irVersion < initializersAsInputs) dropConstantInputs(graph)
  return {
    irVersion: Number(proto.irVersion),
    opsetImports: decodeOpsets(proto.opsetImport),
    producerName: proto.producerName,
    producerVersion: proto.producerVersion,
    graph,
    functions: proto.functions.map((each) => decodeFunction(each, external)),
    metadataProps: new Map(proto.metadataProps.map(({ key, value }) => [key, value])),
    opaque: withoutFields(ModelProtoSchema, proto, ['graph', 'functions']),
  }
}

/** Files before this IR version list every initializer as an input too, which nobody can give. */
export const initializersAsInputs = 4

function dropConstantInputs(graph: Graph): void {
  for (const value of graph.initializers) graph.removeInput(value)
}

function parseProto(bytes: Uint8Array): ModelProto {
  try {
    // A Buffer's slice() is a view where a Uint8Array's is a copy, and the weights are views of this.
    return fromBinary(ModelProtoSchema, new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength))
  } catch (error) {
    throw new HastenError('model_invalid', `the file is not a readable ONNX protobuf: ${messageOf(error)}`, {
      cause: error,
    })
  }
}

const refuseExternal: ExternalReader = ({ tensor, location }) => {
  throw new HastenError('model_unsafe', `tensor '${tensor}' has external data at '${location}', not part of the model`)
}

function decodeOpsets(imports: readonly OperatorSetIdProto[]): Map<string, number> {
  return new Map(imports.map(({ domain, version }) => [domain === 'ai.onnx' ? '' : domain, Number(version)]))
}

interface Scope {
  readonly external: ExternalReader
  readonly outer: NameTable | undefined
}

interface NameTable {
  readonly graph: Graph
  readonly values: Map<string, Value>
  readonly outer: NameTable | undefined
}

function decodeGraph(proto: GraphProto, scope: Scope): Graph {
  const graph = new Graph(proto.name)
  const names: NameTable = { graph, values: new Map(), outer: scope.outer }
  for (const info of proto.input) {
    const value = define(names, graph.addInput(info.name, decodeType(info.type)))
    value.opaque = { input: { info, type: value.type } } satisfies CarriedValue
  }
  decodeInitializers(proto, names, scope.external)
  connectNodes(proto.node, names, scope.external)
  const known = new Set(proto.valueInfo.filter((info) => applyInfo(names.values.get(info.name), info, 'info')))
  for (const info of proto.output) {
    const value = resolve(names, info.name, `output of graph '${proto.name}'`)
    applyInfo(value, info, 'output')
    graph.addOutput(value)
  }
  const rest = withoutFields(GraphProtoSchema, proto, ['node', 'initializer', 'sparseInitializer', 'input', 'output'])
  rest.valueInfo = proto.valueInfo.filter((info) => !known.has(info))
  graph.opaque = rest
  return graph
}

function decodeInitializers(proto: GraphProto, names: NameTable, external: ExternalReader): void {
  const { graph, values } = names
  for (const each of proto.initializer) {
    const { tensor, rest } = decodeTensor(each, external)
    const input = values.get(each.name)
    if (input?.initializer !== undefined) throw definedTwice(each.name, graph)
    const value = graph.addInitializer(each.name, tensor)
    values.set(each.name, value)
    value.opaque = { ...(value.opaque as CarriedValue | undefined), tensor: rest }
  }
  for (const sparse of proto.sparseInitializer) {
    const name = sparse.values?.name ?? ''
    const value = define(names, graph.addSparseInitializer(name))
    value.opaque = { sparse } satisfies CarriedValue
  }
}

/** Adds the nodes, then connects them: a file's nodes may be in any order, and subgraphs see all outer values. */
function connectNodes(protos: readonly NodeProto[], names: NameTable, external: ExternalReader): void {
  const nodes = protos.map((proto) => addNode(proto, names))
  const decoder = attributeDecoder(names, external)
  protos.forEach((proto, at) => {
    const node = nodes[at] as Node
    proto.input.forEach((name, index) => {
      if (name !== '') node.setInput(index, resolve(names, name, `input ${index} of node '${proto.name}'`))
    })
    for (const each of proto.attribute) node.setAttribute(each.name, decodeAttribute(each, decoder))
  })
}

function attributeDecoder(names: NameTable, external: ExternalReader): AttributeDecoder {
  return {
    tensor: (proto) => decodeTensor(proto, external),
    graph: (proto) => decodeGraph(proto, { external, outer: names }),
  }
}

function addNode(proto: NodeProto, names: NameTable): Node {
  const { name, opType, domain, overload, output: outputs } = proto
  const opaque = withoutFields(NodeProtoSchema, proto, ['input', 'output', 'attribute'])
  const node = names.graph.addNode({ name, opType, domain, overload, inputs: [], outputs, opaque })
  for (const value of node.outputs) if (value.name !== '') define(names, value)
  return node
}

function define(names: NameTable, value: Value): Value {
  if (names.values.has(value.name)) throw definedTwice(value.name, names.graph)
  names.values.set(value.name, value)
  return value
}

function definedTwice(name: string, graph: Graph): HastenError {
  return new HastenError('model_invalid', `the name '${name}' is defined twice in graph '${graph.name}'`)
}

function resolve(names: NameTable, name: string, reader: string): Value {
  for (let table: NameTable | undefined = names; table !== undefined; table = table.outer) {
    const value = table.values.get(name)
    if (value !== undefined) return value
  }
  throw new HastenError('model_invalid', `${reader} is '${name}', which nothing gives`)
}

function applyInfo(value: Value | undefined, info: ValueInfoProto, slot: 'output' | 'info'): boolean {
  if (value === undefined) return false
  const type = decodeType(info.type)
  value.type ??= type
  // Where two messages describe one value, only the one whose type it has may be written back whole.
  const carried = (value.opaque ?? {}) as CarriedValue
  value.opaque = { ...carried, [slot]: { info, type: value.type } } satisfies CarriedValue
  return true
}

function decodeFunction(proto: FunctionProto, external: ExternalReader): ModelFunction {
  const graph = new Graph(proto.name)
  const names: NameTable = { graph, values: new Map(), outer: undefined }
  for (const input of proto.input) define(names, graph.addInput(input))
  connectNodes(proto.node, names, external)
  const known = new Set(proto.valueInfo.filter((info) => applyInfo(names.values.get(info.name), info, 'info')))
  for (const output of proto.output) graph.addOutput(resolve(names, output, `output of function '${proto.name}'`))
  const decoder = attributeDecoder(names, external)
  const rest = withoutFields(FunctionProtoSchema, proto, ['input', 'output', 'node'])
  rest.valueInfo = proto.valueInfo.filter((info) => !known.has(info))
  return {
    domain: proto.domain,
    name: proto.name,
    overload: proto.overload,
    graph,
    attributes: [...proto.attribute, ...proto.attributeProto.map(({ name }) => name)],
    defaults: new Map(proto.attributeProto.map((each) => [each.name, decodeAttribute(each, decoder)])),
    opsetImports: decodeOpsets(proto.opsetImport),
    opaque: rest,
  }
}
