import { subgraphsOf } from '../ir/attribute.ts'
import type { Graph, Node, Value } from '../ir/graph.ts'
import type { Model } from '../ir/model.ts'
import type { Layer } from './forecast-layers.ts'
import { kernelMacs, type Kernel } from './kernel.ts'
import { readKernels, type InputDims } from './read-kernel.ts'

const layerOps = ['Conv', 'MatMul', 'Gemm']

/** Nobody times these, but they may be most of a model. */
const recurrentOps = ['LSTM', 'GRU', 'RNN']

/** The layers of one run: of the branches of an If the costliest, since only one runs; the body of a loop once. */
export function layerNodes(graph: Graph, costOf: (node: Node) => number, ops: readonly string[] = layerOps): Node[] {
  const cost = (nodes: readonly Node[]) => nodes.reduce((total, node) => total + costOf(node), 0)
  return [...graph.nodes].flatMap((node) => {
    if (node.domain !== '') return []
    if (ops.includes(node.opType)) return [node]
    const inside = [...subgraphsOf(node)].map((subgraph) => layerNodes(subgraph, costOf, ops))
    return inside.toSorted((a, b) => cost(b) - cost(a))[0] ?? []
  })
}

/** Layers with how they hang together, apart from their model. */
export function describeLayers(nodes: readonly Node[], kernelOf: (node: Node) => Kernel | undefined): Layer[] {
  const indexes = new Map(nodes.map((node, index) => [node, index]))
  const values = new Map<Value | undefined, number>()
  return nodes.map((node) => {
    const [input, output] = [node.inputs[0], node.outputs[0]]
    if (!values.has(input)) values.set(input, values.size)
    const users = [...(output?.uses ?? [])].map((use) => indexes.get(use.node))
    const readers = users.filter((index) => index !== undefined)
    return {
      kernel: kernelOf(node) ?? null,
      reads: values.get(input) ?? 0,
      source: (input?.producer && indexes.get(input.producer)) ?? null,
      isModelInput: input !== undefined && input.producer === undefined,
      readers,
      isReadElsewhere: users.length === 0 || readers.length < users.length,
      isModelOutput: output?.isGraphOutput === true || users.length === 0,
    }
  })
}

/** The layers of a model that is run on inputs of these sizes, recurrent ones as layers of unknown sizes. */
export function readLayers(model: Model, inputs: InputDims): Layer[] {
  const kernels = readKernels(model, inputs)
  const kernelOf = (node: Node) => kernels.get(node)
  const costOf = (node: Node) => {
    const kernel = kernelOf(node)
    return kernel === undefined ? 0 : kernelMacs(kernel)
  }
  return describeLayers(layerNodes(model.graph, costOf, [...layerOps, ...recurrentOps]), kernelOf)
}
