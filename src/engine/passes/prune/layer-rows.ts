import { attribute } from '../../ir/attribute.ts'
import { cloneModel } from '../../ir/clone.ts'
import type { Graph, Node, Value } from '../../ir/graph.ts'
import type { Model } from '../../ir/model.ts'
import { tensorOf, type Tensor } from '../../ir/tensor.ts'
import { elementCount } from '../../ir/tensor.ts'
import { constantValue } from '../../ops/index.ts'
import { removeDeadNodes, removeUnusedInitializers } from '../../rewrite/dead.ts'

/** The name of what a model of rows gives. */
export const rowsOutput = 'hasten.rows'

/**
 * A model that gives the inputs of one layer as rows, [positions, weights of an output channel]: for a convolution what its
 * window sees at each position (im2col, by a depthwise convolution with one-hot weights).
 */
export function inputRows(original: Model, layer: string): Model {
  return partOf(original, layer, (node, graph) => {
    const [input, weight] = [node.inputs[0] as Value, constantValue(node.inputs[1]) as Tensor]
    if (node.opType !== 'Conv') return asRows(graph, input, innerSize(node, weight))
    const [, channels = 0, ...window] = weight.dims
    const patches = graph.addNode({
      opType: 'Conv',
      inputs: [input, graph.addInitializer(graph.freshName('windows'), oneHotWindows(channels, window))],
      attributes: { ...Object.fromEntries(node.attributes), group: attribute.int(channels) },
    }).outputs[0] as Value
    return asRows(graph, channelsLast(graph, patches, weight.dims.length), channels * elementCount(window))
  })
}

/** A model that gives the chosen channels of one layer's output as rows, [positions, channels]. */
export function outputRows(original: Model, layer: string, channels: readonly number[]): Model {
  return partOf(original, layer, (node, graph) => {
    const [output, weight] = [node.outputs[0] as Value, constantValue(node.inputs[1]) as Tensor]
    const made = madeChannels(node, weight)
    const last = node.opType === 'Conv' ? channelsLast(graph, output, weight.dims.length) : output
    const rows = asRows(graph, last, made)
    const indices = tensorOf('int64', [channels.length], BigInt64Array.from(channels, BigInt))
    return graph.addNode({
      opType: 'Gather',
      inputs: [rows, graph.addInitializer(graph.freshName('channels'), indices)],
      attributes: { axis: attribute.int(1) },
    }).outputs[0] as Value
  })
}

/** Output channels of a Conv, MatMul or Gemm. */
export function madeChannels(node: Node, weight: Tensor): number {
  if (node.opType === 'Conv') return weight.dims[0] ?? 0
  return weight.dims[isTransposed(node) ? 0 : 1] ?? 0
}

function innerSize(node: Node, weight: Tensor): number {
  return weight.dims[isTransposed(node) ? 1 : 0] ?? 0
}

/** Whether the weight of a Gemm is [outputs, inputs]. */
export function isTransposed(node: Node): boolean {
  const transB = node.opType === 'Gemm' ? node.attributes.get('transB') : undefined
  return transB?.kind === 'int' && transB.value === 1n
}

/** What of a model comes before a layer, and the rows that `build` makes of it. */
function partOf(original: Model, layer: string, build: (node: Node, graph: Graph) => Value): Model {
  const model = cloneModel(original)
  const { graph } = model
  const node = [...graph.nodes].find(({ outputs }) => outputs[0]?.name === layer) as Node
  const rows = build(node, graph)
  for (const output of graph.outputs.toReversed()) graph.removeOutput(output)
  graph.renameValue(rows, rowsOutput)
  graph.addOutput(rows)
  removeDeadNodes(graph)
  removeUnusedInitializers(model)
  return model
}

function channelsLast(graph: Graph, value: Value, rank: number): Value {
  const order = [0, ...Array.from({ length: rank - 2 }, (_, axis) => axis + 2), 1]
  return graph.addNode({ opType: 'Transpose', inputs: [value], attributes: { perm: attribute.ints(order) } })
    .outputs[0] as Value
}

function asRows(graph: Graph, value: Value, size: number): Value {
  const shape = tensorOf('int64', [2], BigInt64Array.of(-1n, BigInt(size)))
  return graph.addNode({
    opType: 'Reshape',
    inputs: [value, graph.addInitializer(graph.freshName('rows'), shape)],
  }).outputs[0] as Value
}

/** [channels · positions, 1, …window]: filter i takes position i mod positions of its channel. */
function oneHotWindows(channels: number, window: readonly number[]): Tensor {
  const positions = elementCount(window)
  const values = new Float32Array(channels * positions * positions)
  for (let filter = 0; filter < channels * positions; filter += 1) values[filter * positions + (filter % positions)] = 1
  return tensorOf('float32', [channels * positions, 1, ...window], values)
}
