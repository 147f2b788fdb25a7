import { byteLength, type DType } from '../ir/dtype.ts'
import type { Graph, Node, Value } from '../ir/graph.ts'
import type { Model } from '../ir/model.ts'
import { topologicalOrder } from '../ir/order.ts'
import { elementCount } from '../ir/tensor.ts'
import type { Dim, ValueType } from '../ir/value-type.ts'
import { constantOf } from '../ops/constants.ts'
import { countAsOnes } from '../ops/dims.ts'
import { inferTypes, type InferredTypes } from '../ops/infer.ts'
import { opDefinition } from '../ops/registry.ts'
import { macsOf } from './flops.ts'

/** A tensor of a graph: dtype and dims are null where they are not known. */
interface TensorFacts {
  readonly name: string
  readonly dtype: DType | null
  readonly dims: readonly Dim[] | null
}

/** One operator with what one run of it costs; dynamic dims counted as 1, null where a shape is unknown. */
export interface NodeFacts {
  /** Place in the list: topological within each graph, the nodes of a subgraph right after the node that holds it. */
  readonly index: number
  readonly name: string
  /** `domain:Op` outside ai.onnx. */
  readonly op: string
  /** Which graph it is in: empty for the main one, else node and attribute, such as `If_0/then_branch`. */
  readonly graph: string
  readonly inputs: readonly ((TensorFacts & { readonly constant: boolean }) | null)[]
  readonly outputs: readonly TensorFacts[]
  /** Two per multiply-accumulate; 0 for operators that have none to speak of. */
  readonly flops: number | null
  /** Bytes read and written, weights included. */
  readonly bytes_moved: number | null
  /** Elements of its constant inputs; a weight that several nodes read counts at each. */
  readonly parameters: number
  readonly traits: readonly string[]
}

/** A value that one node gives and another reads. */
export interface EdgeFacts extends TensorFacts {
  readonly from: number
  readonly to: number
  /** Which input of the reader. */
  readonly input: number
}

export interface GraphFacts {
  readonly nodes: readonly NodeFacts[]
  /** Ordered by reader. */
  readonly edges: readonly EdgeFacts[]
}

/** Nodes and edges of a model with what each costs, subgraphs included; bodies of model functions are not. */
export function describeGraph(model: Model, types: InferredTypes = inferTypes(model)): GraphFacts {
  const listed: { node: Node; graph: string }[] = []
  listNodes(model.graph, '', listed)
  const indexes = new Map(listed.map(({ node }, index) => [node, index]))
  const nodes = listed.map(({ node, graph }, index) => describeNode(node, index, graph, types))
  const edges = listed.flatMap(({ node }, to) => edgesInto(node, to, indexes, types))
  return { nodes, edges }
}

function listNodes(graph: Graph, path: string, listed: { node: Node; graph: string }[]): void {
  const { order, cycle } = topologicalOrder(graph)
  for (const node of cycle.length === 0 ? order : graph.nodes) {
    listed.push({ node, graph: path })
    for (const [name, { kind, ...rest }] of node.attributes) {
      if (kind !== 'graph') continue
      const inner = (rest as { value: Graph }).value
      listNodes(inner, `${path === '' ? '' : `${path}/`}${node.name || node.opType}/${name}`, listed)
    }
  }
}

function describeNode(node: Node, index: number, graph: string, types: InferredTypes): NodeFacts {
  const { name, domain, opType } = node
  const macs = macsOf(node, types)
  const constants = node.inputs.map((input) => constantDims(input))
  return {
    index,
    name,
    op: domain === '' ? opType : `${domain}:${opType}`,
    graph,
    inputs: node.inputs.map((input, at) =>
      input === undefined ? null : { ...describeTensor(input, types), constant: constants[at] !== undefined },
    ),
    outputs: node.outputs.filter((output) => output.name !== '').map((output) => describeTensor(output, types)),
    flops: macs === undefined ? null : 2 * macs,
    bytes_moved: bytesMoved(node, types),
    parameters: constants.reduce((sum, dims) => sum + (dims === undefined ? 0 : elementCount(dims)), 0),
    traits: traitsOf(node),
  }
}

function constantDims(value: Value | undefined): readonly number[] | undefined {
  return value?.initializer?.dims ?? (value?.producer && constantOf(value.producer)?.dims)
}

function describeTensor(value: Value, types: InferredTypes): TensorFacts {
  const type = types.of(value)
  return { name: value.name, dtype: type?.dtype ?? null, dims: type?.dims ?? null }
}

function bytesMoved(node: Node, types: InferredTypes): number | null {
  const values = [...node.inputs, ...node.outputs].filter((value) => value !== undefined && value.name !== '')
  const sizes = values.map((value) => bytesOf(types.of(value)))
  return sizes.every((size) => size !== undefined) ? sizes.reduce((sum, size) => sum + size, 0) : null
}

function bytesOf(type: ValueType | undefined): number | undefined {
  if (type?.dims == null || type.dtype === 'string') return undefined
  return byteLength(type.dtype, countAsOnes(type.dims))
}

/** Traits that a reader of the graph may ask for, by the name they have there. */
const shownTraits = {
  elementwise: 'elementwise',
  commutative: 'commutative',
  activation: 'activation',
  movesData: 'moves_data',
  shapeOnly: 'shape_only',
  quantizable: 'quantizable',
  subgraphs: 'holds_subgraphs',
} as const

function traitsOf(node: Node): string[] {
  const definition = opDefinition(node)
  if (definition === undefined) return []
  return Object.entries(shownTraits).flatMap(([trait, name]) =>
    definition[trait as keyof typeof shownTraits] === undefined ? [] : [name],
  )
}

function edgesInto(node: Node, to: number, indexes: ReadonlyMap<Node, number>, types: InferredTypes): EdgeFacts[] {
  return node.inputs.flatMap((value, input) => {
    const from = value?.producer && indexes.get(value.producer)
    return value === undefined || from === undefined ? [] : [{ from, to, input, ...describeTensor(value, types) }]
  })
}
