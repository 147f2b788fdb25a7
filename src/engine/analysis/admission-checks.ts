import { HastenError } from '../../errors.ts'
import { byteLength } from '../ir/dtype.ts'
import { subgraphsOf } from '../ir/attribute.ts'
import type { Graph, Node, Value } from '../ir/graph.ts'
import { allGraphs, allNodes, type Model, type ModelFunction } from '../ir/model.ts'
import { maxRank, type ValueType } from '../ir/value-type.ts'
import { constantOf } from '../ops/constants.ts'
import type { InferredTypes } from '../ops/infer.ts'
import { opDefinition } from '../ops/registry.ts'
import { assertValid } from '../ops/verify.ts'

/** Bounds of what an uploaded model may ask for. */
export interface AdmissionLimits {
  /** The file and its external data together, and the weights they hold. */
  readonly maxBytes: number
  /** Any one tensor whose size the model fixes. */
  readonly maxTensorBytes: number
  /** Nodes, functions written out. */
  readonly maxNodes: number
}

export const defaultAdmissionLimits: AdmissionLimits = {
  maxBytes: 8 * 2 ** 30,
  maxTensorBytes: 4 * 2 ** 30,
  maxNodes: 200_000,
}

/** Something a user should know of a model that was admitted. */
export interface Finding {
  readonly code: 'unknown_op' | 'untyped_output'
  readonly detail: string
}

/** What an admission check gets to see. */
export interface Admission {
  readonly model: Model
  readonly types: InferredTypes
  readonly limits: AdmissionLimits
}

/** Each throws a HastenError that names the node or tensor; run in this order. */
export const admissionChecks = {
  'not-empty': refuseEmpty,
  'known-domains': refuseDomains,
  'no-file-ops': refuseFileOps,
  structure: ({ model }: Admission) => assertValid(model),
  'finite-functions': refuseFunctionBombs,
  'tensor-inputs': refuseOtherInputs,
  'bounded-shapes': refuseShapes,
  'bounded-weights': refuseWeights,
} satisfies Record<string, (admission: Admission) => void>

function refuseEmpty({ model: { graph } }: Admission): void {
  if (graph.nodes.size === 0) throw new HastenError('model_invalid', 'the graph has no nodes')
  if (graph.outputs.length === 0) throw new HastenError('model_invalid', 'the graph has no outputs')
}

const allowedDomains = new Set(['', 'ai.onnx.ml', 'com.microsoft'])

function refuseDomains({ model }: Admission): void {
  const local = new Set(model.functions.map(functionKey))
  for (const node of allNodes(model)) {
    if (allowedDomains.has(node.domain) || local.has(functionKey({ domain: node.domain, name: node.opType }))) continue
    throw new HastenError('model_unsupported_op', `${at(node)} is of the domain '${node.domain}'`)
  }
}

function functionKey({ domain, name }: { domain: string; name: string }): string {
  return `${domain}:${name}`
}

// Operators of com.microsoft that name a file or hold a compiled program for an accelerator.
const fileOps = new Set(['EPContext', 'Snpe'])

function refuseFileOps({ model }: Admission): void {
  for (const node of allNodes(model)) {
    if (!fileOps.has(node.opType)) continue
    throw new HastenError('model_unsafe', `${at(node)} reads files or runs compiled code`)
  }
}

/** Functions that call themselves, or that multiply into more nodes than allowed when written out. */
function refuseFunctionBombs({ model, limits }: Admission): void {
  const functions = new Map(model.functions.map((each) => [functionKey(each), each]))
  const sizes = new Map<ModelFunction, number | 'open'>()
  const sizeOf = (graph: Graph): number => {
    let size = 0
    for (const node of graph.nodes) {
      const called = functions.get(functionKey({ domain: node.domain, name: node.opType }))
      size += called === undefined ? 1 : functionSize(called)
      for (const subgraph of subgraphsOf(node)) size += sizeOf(subgraph)
    }
    if (size <= limits.maxNodes) return size
    throw new HastenError('model_unsafe', `the graph '${graph.name}' comes to more than ${limits.maxNodes} nodes`)
  }
  const functionSize = (each: ModelFunction): number => {
    const known = sizes.get(each)
    if (known === 'open') throw new HastenError('model_invalid', `the function '${functionKey(each)}' calls itself`)
    if (known !== undefined) return known
    sizes.set(each, 'open')
    const size = sizeOf(each.graph)
    sizes.set(each, size)
    return size
  }
  for (const each of model.functions) functionSize(each)
  sizeOf(model.graph)
}

function refuseOtherInputs({ model }: Admission): void {
  for (const input of model.graph.inputs) {
    if (input.type !== undefined) continue
    throw new HastenError('model_invalid', `the input '${input.name}' has no tensor type`)
  }
}

/** Any tensor whose known dims alone make it larger than allowed; dynamic ones count as 1. */
function refuseShapes({ model, types, limits }: Admission): void {
  for (const graph of allGraphs(model)) {
    for (const input of graph.inputs) refuseShape(types.of(input), `the input '${input.name}'`, limits)
    for (const node of graph.nodes) {
      for (const output of node.outputs) refuseShape(types.of(output), outputAt(node, output), limits)
    }
  }
}

function outputAt(node: Node, output: Value): string {
  return `the output '${output.name}' of ${at(node)}`
}

function refuseShape(type: ValueType | undefined, what: string, limits: AdmissionLimits): void {
  const sizes = type?.dims?.filter((dim) => typeof dim === 'number')
  if (type === undefined || sizes === undefined) return
  if (type.dims !== null && type.dims.length > maxRank) {
    throw new HastenError('model_invalid', `${what} has ${type.dims.length} dims, over ${maxRank}`)
  }
  const shape = `dims [${type.dims?.map((dim) => dim ?? '?').join(', ')}]`
  if (sizes.some((size) => size < 0 || !Number.isInteger(size))) {
    throw new HastenError('model_invalid', `${what} has a negative dim in ${shape}`)
  }
  const count = sizes.reduce((product, size) => product * BigInt(size), 1n)
  // A string takes at least a pointer's room.
  const bytes = (count * BigInt(byteLength(type.dtype, 8) || 64)) / 8n
  if (bytes <= BigInt(limits.maxTensorBytes)) return
  throw new HastenError('model_unsafe', `${what} of ${shape} takes ${bytes} bytes, over ${limits.maxTensorBytes}`)
}

// External data may be referred to by many tensors, which then each take its size.
function refuseWeights({ model, limits }: Admission): void {
  let bytes = 0
  for (const graph of allGraphs(model)) {
    const constants = [...graph.nodes].map((node) => constantOf(node))
    for (const tensor of [...[...graph.initializers].map((value) => value.initializer), ...constants]) {
      if (tensor !== undefined)
        bytes += byteLength(
          tensor.dtype,
          tensor.dims.reduce((product, dim) => product * dim, 1),
        )
    }
  }
  if (bytes <= limits.maxBytes) return
  throw new HastenError('model_unsafe', `the weights take ${bytes} bytes, over ${limits.maxBytes}`)
}

/** What is worth telling of a model that passed. */
export function findingsOf({ model, types }: Admission): Finding[] {
  const local = new Set(model.functions.map(functionKey))
  const unknown = new Set<string>()
  for (const node of allNodes(model)) {
    const key = functionKey({ domain: node.domain, name: node.opType })
    if (opDefinition(node) === undefined && !local.has(key)) unknown.add(node.domain === '' ? node.opType : key)
  }
  const untyped = model.graph.outputs.filter((output) => types.of(output) === undefined)
  return [
    ...[...unknown].map((op) => finding('unknown_op', `${op} is not known here; passes leave it alone`)),
    ...untyped.map(({ name }) => finding('untyped_output', `the output '${name}' is not a tensor of known type`)),
  ]
}

function finding(code: Finding['code'], detail: string): Finding {
  return { code, detail }
}

function at(node: Node): string {
  const name = node.name === '' ? `that gives '${node.outputs[0]?.name ?? ''}'` : `'${node.name}'`
  return `the ${node.opType} node ${name}`
}
