import { allNodes, type Model } from '../ir/model.ts'
import type { Node } from '../ir/graph.ts'
import { getInt } from '../ir/attribute.ts'
import type { Tensor } from '../ir/tensor.ts'
import { constantValue } from '../ops/constants.ts'
import type { InferredTypes } from '../ops/infer.ts'
import { macsOf } from './flops.ts'

/** Kinds of nodes that techniques treat alike. */
const nodeKinds = ['convolution', 'depthwise', 'product', 'activation_product', 'recurrent', 'embedding'] as const
export type NodeKind = (typeof nodeKinds)[number]

/** What nodes of one kind amount to. */
interface KindFacts {
  readonly nodes: number
  /** Multiply-accumulates of one run, open dims counted as 1; null where a shape is unknown. */
  readonly macs: number | null
  readonly weight_bytes: number
}

/** What a model is made of, as far as it decides which techniques suit it. */
export type ModelStructure = Readonly<Record<NodeKind, KindFacts>>

export function describeStructure(model: Model, types: InferredTypes): ModelStructure {
  const groups = Map.groupBy(allNodes(model), kindOf)
  // A weight that several nodes share is there once.
  const seen = new Set<Tensor>()
  const facts = nodeKinds.map((kind) => [kind, factsOf(groups.get(kind) ?? [], types, seen)] as const)
  return Object.fromEntries(facts) as ModelStructure
}

function factsOf(nodes: readonly Node[], types: InferredTypes, seen: Set<Tensor>): KindFacts {
  const macs = nodes.map((node) => macsOf(node, types))
  const known = macs.filter((count) => count !== undefined)
  return {
    nodes: nodes.length,
    macs: known.length === macs.length ? known.reduce((sum, count) => sum + count, 0) : null,
    weight_bytes: nodes.reduce((sum, node) => sum + weightBytes(node, seen), 0),
  }
}

const recurrent = new Set(['LSTM', 'GRU', 'RNN'])
const products = new Set(['MatMul', 'Gemm'])

function kindOf(node: Node): NodeKind | undefined {
  const { opType, domain } = node
  if (domain !== '') return undefined
  const weight = constantValue(node.inputs[1])
  if (opType === 'Conv') return getInt(node, 'group', 1) > 1 && weight?.dims[1] === 1 ? 'depthwise' : 'convolution'
  if (products.has(opType)) return weight === undefined && !hasConstantInput(node) ? 'activation_product' : 'product'
  if (recurrent.has(opType)) return 'recurrent'
  return opType === 'Gather' && (constantValue(node.inputs[0])?.dims.length ?? 0) > 1 ? 'embedding' : undefined
}

function hasConstantInput(node: Node): boolean {
  return constantValue(node.inputs[0]) !== undefined
}

function weightBytes(node: Node, seen: Set<Tensor>): number {
  let bytes = 0
  for (const input of node.inputs) {
    const tensor = constantValue(input)
    if (tensor === undefined || tensor.dtype === 'string' || seen.has(tensor)) continue
    seen.add(tensor)
    bytes += tensor.bytes.byteLength
  }
  return bytes
}
