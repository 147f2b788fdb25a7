import { runBatches } from '../../calibrate/run-batches.ts'
import type { CalibrationOptions, UseSession } from '../../calibrate/collect-ranges.ts'
import { bindDataset, type Dataset } from '../../data/index.ts'
import { addReduction, gatherResults, type Result } from '../../calibrate/gather-results.ts'
import { nameValues } from '../../calibrate/observe.ts'
import { cloneModel } from '../../ir/clone.ts'
import type { Graph, Node, Value } from '../../ir/graph.ts'
import type { Model } from '../../ir/model.ts'
import { elementCount, tensorOf, viewOf, type Tensor } from '../../ir/tensor.ts'
import { quantizeBias } from '../../calibrate/affine.ts'
import { constantValue } from '../../ops/index.ts'
import type { LinearNode } from './linear-nodes.ts'

/** Mean of what integer weights add to the result of a node, per output channel. */
type Shifts = ReadonlyMap<LinearNode, Float64Array>

type Runs = Pick<CalibrationOptions, 'samples' | 'batch' | 'signal'>

export interface Correction {
  readonly corrected: number
  /** Matrix products without a bias after them to take the difference up. */
  readonly without: number
}

/**
 * Takes back what quantizing weights adds to the mean of each output channel: the node with its float weights runs beside
 * the one with integer weights, on the same quantized input, and the bias takes up the difference of their means. One
 * pass over the data corrects all nodes, since none depends on another's correction to first order. The bias of a MatMul
 * is the constant of the Add after it. (Nagel et al., Data-Free Quantization through Weight Equalization and Bias
 * Correction, 2019, measured rather than estimated)
 */
export async function correctBiases(
  model: Model,
  layers: readonly LinearNode[],
  dataset: Dataset,
  options: Runs,
  useSession: UseSession,
): Promise<Correction> {
  const biased = layers.filter(({ node, channels }) => node.opType !== 'MatMul' || addAfter(node, channels))
  const shifts = await measureShifts(model, biased, dataset, options, useSession)
  for (const [{ node, channels }, shift] of shifts) {
    if (node.opType === 'MatMul') addToSum(node, channels, shift)
    else addToBias(node, shift)
  }
  return { corrected: shifts.size, without: layers.length - biased.length }
}

interface Id {
  readonly layer: LinearNode
  readonly part: 'sum' | 'size'
}

async function measureShifts(
  original: Model,
  layers: readonly LinearNode[],
  dataset: Dataset,
  options: Runs,
  useSession: UseSession,
): Promise<Shifts> {
  if (layers.length === 0) return new Map()
  const model = cloneModel(original)
  const results = observeShifts(original, model, layers)
  for (const { value } of results) model.graph.addOutput(value)
  const outputs = results.map(({ value }) => value.name)
  const sums = new Map(layers.map((layer) => [layer, new Float64Array(layer.channels)]))
  const counts = new Map<LinearNode, number>()
  await useSession(model, async (session) => {
    const { dataset: bound } = bindDataset(dataset, session.inputs)
    return runBatches(session, bound, { ...options, outputs }, (given) => {
      for (const { id, value } of results) accumulate(id, given[value.name], sums, counts)
    })
  })
  const seen = [...sums].filter(([layer]) => (counts.get(layer) ?? 0) > 0)
  return new Map(seen.map(([layer, sum]) => [layer, sum.map((total) => total / (counts.get(layer) as number))]))
}

function accumulate(
  { layer, part }: Id,
  given: Tensor | undefined,
  sums: ReadonlyMap<LinearNode, Float64Array>,
  counts: Map<LinearNode, number>,
): void {
  const total = sums.get(layer)
  if (given === undefined || total === undefined) return
  if (part === 'size') {
    counts.set(layer, (counts.get(layer) ?? 0) + Number(viewOf(given, 'int64')[0]) / layer.channels)
    return
  }
  for (const [channel, value] of viewOf(given, 'float32').entries()) total[channel] = (total[channel] as number) + value
}

/** Observers in a copy of a model, whose nodes are found by the names of their results: nodes need no names. */
function observeShifts(original: Model, model: Model, layers: readonly LinearNode[]): Result<Id>[] {
  const [names, copied] = [nameValues(original), nameValues(model)]
  const byName = new Map(layers.map((layer) => [names.get(outputOf(layer.node)), layer]))
  const observe = (graph: Graph) =>
    [...graph.nodes].flatMap((node) => {
      const name = copied.get(outputOf(node))
      const layer = name === undefined ? undefined : byName.get(name)
      return layer === undefined ? [] : observeShift(graph, node, layer)
    })
  return gatherResults(model.graph, { observe, refuse: () => undefined })
}

/** Sums, per output channel, of the node with float weights less the node as it is, and how many elements there are. */
function observeShift(graph: Graph, node: Node, layer: LinearNode): Result<Id>[] {
  const { weights, weight, bias, channels } = layer
  const add = (hint: string, tensor: Tensor) => graph.addInitializer(graph.freshName(`${node.name}/${hint}`), tensor)
  const floats = tensorOf('float32', weight.dims, Float32Array.from(weights))
  const inputs = [node.inputs[0], add('float_weight', floats)]
  if (bias !== undefined) inputs.push(add('float_bias', tensorOf('float32', [channels], Float32Array.from(bias))))
  const attributes = Object.fromEntries(node.attributes)
  const exact = outputOf(graph.addNode({ opType: node.opType, inputs, attributes }))
  const difference = outputOf(graph.addNode({ opType: 'Sub', inputs: [exact, outputOf(node)] }))
  const shared = { merge: 'ReduceSum', isFixed: true } as const
  return [
    {
      ...shared,
      id: { layer, part: 'sum' },
      value: sumChannels(graph, difference, node.opType === 'Conv' ? weight.dims.length : undefined, channels),
      neutral: tensorOf('float32', [channels], new Float32Array(channels)),
    },
    {
      ...shared,
      id: { layer, part: 'size' },
      value: outputOf(graph.addNode({ opType: 'Size', inputs: [difference] })),
      neutral: tensorOf('int64', [], BigInt64Array.of(0n)),
    },
  ]
}

/** Sums over all axes but that of the channels: the second of a Conv, whose rank is given, the last of a product. */
function sumChannels(graph: Graph, value: Value, rank: number | undefined, channels: number): Value {
  if (rank !== undefined) {
    const axes = Array.from({ length: rank }, (_, axis) => axis).filter((axis) => axis !== 1)
    return addReduction(graph, 'ReduceSum', value, axes)
  }
  const dims = graph.addInitializer(
    graph.freshName('row_dims'),
    tensorOf('int64', [2], BigInt64Array.of(-1n, BigInt(channels))),
  )
  const rows = outputOf(graph.addNode({ opType: 'Reshape', inputs: [value, dims] }))
  return addReduction(graph, 'ReduceSum', rows, [0])
}

function outputOf(node: Node): Value {
  return node.outputs[0] as Value
}

interface BiasAdd {
  readonly node: Node
  /** Which of its inputs is the constant. */
  readonly input: number
  readonly bias: Tensor
}

/** The Add of one number per channel that alone reads the result of a product. */
function addAfter(product: Node, channels: number): BiasAdd | undefined {
  const output = outputOf(product)
  const [use] = output.uses
  if (use === undefined || output.uses.size !== 1 || output.isGraphOutput) return undefined
  const { node, index } = use
  if (node.opType !== 'Add' || node.domain !== '') return undefined
  const input = 1 - index
  const bias = constantValue(node.inputs[input])
  const isRow = bias?.dtype === 'float32' && bias.dims.at(-1) === channels && elementCount(bias.dims) === channels
  return isRow ? { node, input, bias } : undefined
}

function addToSum(product: Node, channels: number, shift: Float64Array): void {
  const after = addAfter(product, channels)
  const graph = after?.node.graph
  if (after === undefined || graph === undefined) return
  const { node, input, bias } = after
  const sum = viewOf(bias, 'float32').map((value, channel) => value + (shift[channel] as number))
  const hint = graph.freshName(`${node.name}/bias_corrected`)
  node.setInput(input, graph.addInitializer(hint, tensorOf('float32', bias.dims, sum)))
}

function addToBias(node: Node, shift: Float64Array): void {
  const { graph } = node
  const bias = node.inputs[2]
  const scales = [node.inputs[0], node.inputs[1]].map((value) => constantValue(value?.producer?.inputs[1]))
  const [inputScale, weightScales] = scales.map((tensor) => tensor && viewOf(tensor, 'float32'))
  if (graph === undefined || inputScale === undefined || weightScales === undefined) return
  const integers = bias?.producer?.inputs[0]
  const held = constantValue(integers)
  if (integers !== undefined && held?.dtype === 'int32') {
    // In the graph that holds it, which is the node's own.
    graph.setInitializer(integers, addIntegers(held, shift, inputScale[0] as number, weightScales))
    return
  }
  const before = constantValue(bias)
  const old = before === undefined ? undefined : viewOf(before, 'float32')
  const sum = Float32Array.from(shift, (value, channel) => value + (old?.[channel] ?? 0))
  const hint = graph.freshName(`${node.name}/bias_corrected`)
  node.setInput(2, graph.addInitializer(hint, tensorOf('float32', [sum.length], sum)))
}

function addIntegers(held: Tensor, shift: Float64Array, inputScale: number, weightScales: Float32Array): Tensor {
  const added = viewOf(quantizeBias(shift, inputScale, weightScales).tensor, 'int32')
  const limit = 2 ** 31 - 1
  const sum = viewOf(held, 'int32').map((value, channel) =>
    Math.max(-limit, Math.min(limit, value + (added[channel] as number))),
  )
  return tensorOf('int32', held.dims, sum)
}
