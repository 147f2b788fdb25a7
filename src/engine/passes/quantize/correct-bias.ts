import { runBatches } from '../../calibrate/run-batches.ts'
import type { CalibrationOptions, UseSession } from '../../calibrate/collect-ranges.ts'
import { bindDataset, type Dataset } from '../../data/index.ts'
import { cloneModel } from '../../ir/clone.ts'
import type { Graph, Node, Value } from '../../ir/graph.ts'
import type { Model } from '../../ir/model.ts'
import { tensorOf, viewOf, type Tensor } from '../../ir/tensor.ts'
import { quantizeBias } from '../../calibrate/affine.ts'
import { constantValue } from '../../ops/index.ts'
import type { LinearNode } from './linear-nodes.ts'

/** Mean of what integer weights add to the result of a node, per output channel, by the name of that result. */
type Shifts = ReadonlyMap<string, Float64Array>

/**
 * Takes back what quantizing weights adds to the mean of each output channel: the node with its float weights runs beside
 * the one with integer weights, on the same quantized input, and the bias takes up the difference of their means. One
 * pass over the data corrects all nodes, since none depends on another's correction to first order. (Nagel et al.,
 * Data-Free Quantization through Weight Equalization and Bias Correction, 2019, measured rather than estimated)
 * @returns how many nodes were corrected
 */
export async function correctBiases(
  model: Model,
  layers: readonly LinearNode[],
  dataset: Dataset,
  options: Pick<CalibrationOptions, 'samples' | 'batch' | 'signal'>,
  useSession: UseSession,
): Promise<number> {
  const biased = layers.filter(({ node }) => node.opType !== 'MatMul')
  const shifts = await measureShifts(model, biased, dataset, options, useSession)
  for (const { node } of biased) {
    const shift = shifts.get(outputOf(node).name)
    if (shift !== undefined) addToBias(model.graph, node, shift)
  }
  return shifts.size
}

interface Observer {
  readonly result: string
  readonly sum: string
  readonly size: string
  readonly channels: number
}

async function measureShifts(
  original: Model,
  layers: readonly LinearNode[],
  dataset: Dataset,
  options: Pick<CalibrationOptions, 'samples' | 'batch' | 'signal'>,
  useSession: UseSession,
): Promise<Shifts> {
  const model = cloneModel(original)
  // By result: nodes need no names.
  const nodes = new Map([...model.graph.nodes].map((node) => [outputOf(node).name, node]))
  const observers = layers.flatMap((layer) => {
    const node = nodes.get(outputOf(layer.node).name)
    return node === undefined ? [] : [observeShift(model.graph, node, layer)]
  })
  const outputs = observers.flatMap(({ sum, size }) => [sum, size])
  const sums = new Map(observers.map(({ result, channels }) => [result, new Float64Array(channels)]))
  const counts = new Map<string, number>()
  await useSession(model, async (session) => {
    const { dataset: bound } = bindDataset(dataset, session.inputs)
    return runBatches(session, bound, { ...options, outputs }, (results) => {
      for (const observer of observers) accumulate(observer, results, sums, counts)
    })
  })
  return new Map([...sums].map(([name, sum]) => [name, sum.map((total) => total / Math.max(1, counts.get(name) ?? 0))]))
}

function accumulate(
  { result, sum, size, channels }: Observer,
  results: Readonly<Record<string, Tensor>>,
  sums: ReadonlyMap<string, Float64Array>,
  counts: Map<string, number>,
): void {
  const [added, elements, total] = [results[sum], results[size], sums.get(result)]
  if (added === undefined || elements === undefined || total === undefined) return
  for (const [channel, value] of viewOf(added, 'float32').entries()) total[channel] = (total[channel] as number) + value
  counts.set(result, (counts.get(result) ?? 0) + Number(viewOf(elements, 'int64')[0]) / channels)
}

/** Sums, per output channel, of the node with float weights less the node as it is, and how many elements there are. */
function observeShift(graph: Graph, node: Node, { weights, weight, bias, channels }: LinearNode): Observer {
  const add = (hint: string, tensor: Tensor) => graph.addInitializer(graph.freshName(`${node.name}/${hint}`), tensor)
  const floats = tensorOf('float32', weight.dims, Float32Array.from(weights))
  const inputs = [node.inputs[0], add('float_weight', floats)]
  if (bias !== undefined) inputs.push(add('float_bias', tensorOf('float32', [channels], Float32Array.from(bias))))
  const attributes = Object.fromEntries(node.attributes)
  const exact = outputOf(graph.addNode({ opType: node.opType, inputs, attributes }))
  const difference = outputOf(graph.addNode({ opType: 'Sub', inputs: [exact, outputOf(node)] }))
  const rank = weight.dims.length
  const others = Array.from({ length: rank }, (_, axis) => axis).filter((axis) => axis !== 1)
  const axes = add('mean_axes', tensorOf('int64', [others.length], BigInt64Array.from(others, BigInt)))
  const sum = outputOf(graph.addNode({ opType: 'ReduceSum', inputs: [difference, axes] }))
  const size = outputOf(graph.addNode({ opType: 'Size', inputs: [difference] }))
  for (const output of [sum, size]) graph.addOutput(output)
  return { result: outputOf(node).name, sum: sum.name, size: size.name, channels }
}

function outputOf(node: Node): Value {
  return node.outputs[0] as Value
}

function addToBias(graph: Graph, node: Node, shift: Float64Array): void {
  const bias = node.inputs[2]
  const scales = [node.inputs[0], node.inputs[1]].map((value) => constantValue(value?.producer?.inputs[1]))
  const [inputScale, weightScales] = scales.map((tensor) => tensor && viewOf(tensor, 'float32'))
  if (inputScale === undefined || weightScales === undefined) return
  const integers = bias?.producer?.inputs[0]
  const held = constantValue(integers)
  if (integers !== undefined && held?.dtype === 'int32') {
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
