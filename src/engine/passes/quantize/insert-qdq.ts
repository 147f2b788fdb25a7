import {
  affineParams,
  biasWidening,
  quantizeBias,
  quantizeWeight,
  type AffineOptions,
  type AffineParams,
  type Range,
} from '../../calibrate/affine.ts'
import { HastenError } from '../../../errors.ts'
import { attribute } from '../../ir/attribute.ts'
import type { Graph, Node, Value } from '../../ir/graph.ts'
import type { Model } from '../../ir/model.ts'
import { topologicalOrder } from '../../ir/order.ts'
import { tensorOf, type NumericTensor } from '../../ir/tensor.ts'
import { removeDead } from '../../rewrite/dead.ts'
import type { LinearNode } from './linear-nodes.ts'
import { activationInputs, afterClamp, hasInt8Result, keepsScale, type Plan, type PlanOptions } from './plan.ts'

export interface InsertOptions {
  readonly activations: AffineOptions
  readonly perChannel: boolean
  readonly reduceRange: boolean
}

/** Puts Q/DQ pairs around the nodes of a plan: int8 weights, int32 biases, one pair per activation. */
export function insertQdq(
  model: Model,
  plan: Plan,
  planOptions: PlanOptions,
  ranges: ReadonlyMap<string, Range>,
  options: InsertOptions,
): void {
  const { params, clamped } = chooseParams(model, plan, planOptions, ranges, options.activations)
  for (const [after, before] of clamped) removeClamp(model.graph, after, before)
  for (const linear of plan.anchors.values()) {
    insertWeights(model.graph, linear, params.get(linear.node.inputs[0] as Value) as AffineParams, options)
  }
  for (const [value, each] of params) insertPair(model.graph, value, each, plan)
}

interface Activations {
  readonly params: ReadonlyMap<Value, AffineParams>
  /** Values after a clamp that quantization makes needless, with the value before it. */
  readonly clamped: ReadonlyMap<Value, Value>
}

/** Parameters of every activation of the plan. Inputs first, so that what only moves integers takes over its input's. */
function chooseParams(
  model: Model,
  plan: Plan,
  options: PlanOptions,
  ranges: ReadonlyMap<string, Range>,
  affine: AffineOptions,
): Activations {
  const params = new Map<Value, AffineParams>()
  const { order } = topologicalOrder(model.graph)
  const clamped = new Map<Value, Value>()
  const sourceOf = (value: Value) => clamped.get(value) ?? value
  for (const node of order.filter(plan.isInt8)) {
    for (const value of activationInputs(node)) {
      const source = sourceOf(value)
      if (!params.has(source)) params.set(source, paramsOf(value, ranges, affine))
    }
    const [output] = node.outputs
    if (output === undefined || !hasInt8Result(node, plan.isInt8, options)) continue
    const last = afterClamp(node, options)
    if (last !== output) clamped.set(last, output)
    const [input] = activationInputs(node)
    const kept = keepsScale(node) && input !== undefined ? params.get(sourceOf(input)) : undefined
    params.set(output, kept ?? paramsOf(last, ranges, affine))
  }
  return { params, clamped }
}

function paramsOf(value: Value, ranges: ReadonlyMap<string, Range>, affine: AffineOptions): AffineParams {
  // A probability reaches 1 sooner or later, whatever the calibration samples showed.
  if (value.producer?.opType === 'Softmax') return affineParams({ min: 0, max: 1 }, affine)
  const range = ranges.get(value.name)
  if (range === undefined) throw new HastenError('internal', `value '${value.name}' was not calibrated`)
  return affineParams(range, affine)
}

function removeClamp(graph: Graph, after: Value, before: Value): void {
  const clamp = after.producer
  graph.replaceAllUses(after, before)
  if (clamp !== undefined) removeDead(clamp)
}

function insertWeights(graph: Graph, linear: LinearNode, input: AffineParams, options: InsertOptions): void {
  const { node, weight, weights, channels, bias } = linear
  const axis = options.perChannel ? linear.axis : undefined
  const base = { axis, reduceRange: options.reduceRange }
  const plain = quantizeWeight(weights, weight.dims, base)
  const factors = bias === undefined ? [] : biasWidening(bias, input.scale, plain.scales)
  const widen = axis === undefined ? [Math.max(1, ...factors)] : factors
  const quantized = widen.some((factor) => factor > 1)
    ? quantizeWeight(weights, weight.dims, { ...base, widen })
    : plain
  node.setInput(1, dequantize(graph, `${node.name}/weight`, quantized.tensor, quantized.scales, axis))
  if (node.opType === 'Gemm') for (const name of ['alpha', 'beta']) node.removeAttribute(name)
  if (bias === undefined) return
  const perOutput =
    axis === undefined ? new Float32Array(channels).fill(quantized.scales[0] as number) : quantized.scales
  const quantizedBias = quantizeBias(bias, input.scale, axis === undefined ? quantized.scales : perOutput)
  node.setInput(
    2,
    dequantize(
      graph,
      `${node.name}/bias`,
      quantizedBias.tensor,
      quantizedBias.scales,
      axis === undefined ? undefined : 0,
    ),
  )
}

/**
 * An integer initializer and the DequantizeLinear that makes it a float again. All zero points are 0; int8 weights
 * spell theirs out, since ONNX Runtime's x64quantprecision mode adds one of the wrong shape otherwise.
 */
function dequantize(
  graph: Graph,
  hint: string,
  tensor: NumericTensor,
  scales: Float32Array<ArrayBuffer>,
  axis: number | undefined,
): Value {
  const data = graph.addInitializer(graph.freshName(`${hint}_quantized`), tensor)
  const dims = axis === undefined ? [] : [scales.length]
  const scale = graph.addInitializer(graph.freshName(`${hint}_scale`), tensorOf('float32', dims, scales))
  const attributes = axis === undefined ? {} : { axis: attribute.int(axis) }
  const inputs = [data, scale]
  if (tensor.dtype === 'int8') {
    const zeros = tensorOf('int8', dims, new Int8Array(scales.length))
    inputs.push(graph.addInitializer(graph.freshName(`${hint}_zero_point`), zeros))
  }
  return outputOf(graph.addNode({ opType: 'DequantizeLinear', inputs, attributes }))
}

function outputOf(node: Node): Value {
  return node.outputs[0] as Value
}

/**
 * Quantizes a value and back. What an int8 node gives exists in int8 only, so every reader gets it from there; of a
 * value that is float anyway only the int8 nodes do.
 */
function insertPair(graph: Graph, value: Value, params: AffineParams, plan: Plan): void {
  const readers = [...value.uses]
  const scale = addScale(graph, value.name, params, 1)
  const quantize = graph.addNode({ opType: 'QuantizeLinear', inputs: [value, ...scale] })
  const [quantized] = quantize.outputs as [Value]
  const back = outputOf(graph.addNode({ opType: 'DequantizeLinear', inputs: [quantized, ...scale] }))
  const wanted = readers.filter(({ node }) => plan.isInt8(node) && activationInputs(node).includes(value))
  for (const { node, index } of wanted) node.setInput(index, back)
  const { producer } = value
  if (producer === undefined || !plan.isInt8(producer)) return
  if (value.isGraphOutput) {
    graph.replaceAllUses(value, back)
    quantize.setInput(0, value)
  }
  const floats = readers.filter((use) => !wanted.includes(use))
  if (floats.length === 0) return
  const channels = channelsOf(producer, plan)
  const other = channels === undefined ? back : dequantizeByChannel(graph, value, quantized, params, channels)
  for (const { node, index } of floats) node.setInput(index, other)
}

/**
 * A DequantizeLinear with the one scale written once per channel: the same numbers, but ONNX Runtime (1.30) quantizes
 * the weights of a float Conv or Gemm, with one scale for all channels, when it reads a DequantizeLinear of one scale.
 * A node that is float on purpose would lose its accuracy that way.
 */
function dequantizeByChannel(
  graph: Graph,
  value: Value,
  quantized: Value,
  params: AffineParams,
  channels: number,
): Value {
  const scale = addScale(graph, `${value.name}/channels`, params, channels)
  const attributes = { axis: attribute.int(1) }
  return outputOf(graph.addNode({ opType: 'DequantizeLinear', inputs: [quantized, ...scale], attributes }))
}

/** Channels (axis 1) of what an int8 node gives, where the plan tells. */
function channelsOf(node: Node, plan: Plan): number | undefined {
  const anchor = plan.anchors.get(node)
  if (anchor !== undefined) return node.opType === 'Conv' ? anchor.channels : undefined
  if (!keepsChannels.has(node.opType)) return undefined
  const counts = activationInputs(node).map((value) => producerChannels(value, plan))
  return counts.every((count) => count !== undefined) ? Math.max(...counts) : undefined
}

const keepsChannels = new Set([
  'Add',
  'Mul',
  'MaxPool',
  'AveragePool',
  'GlobalAveragePool',
  'LeakyRelu',
  'Sigmoid',
  'Resize',
])

/** The int8 node before a value that is a pair's output already. */
function producerChannels(value: Value, plan: Plan): number | undefined {
  const isPair = value.producer?.opType === 'DequantizeLinear'
  const source = isPair ? value.producer?.inputs[0]?.producer?.inputs[0] : value
  return source?.producer === undefined ? undefined : channelsOf(source.producer, plan)
}

function addScale(
  graph: Graph,
  hint: string,
  { dtype, scale, zeroPoint }: AffineParams,
  count: number,
): [Value, Value] {
  const dims = count === 1 ? [] : [count]
  const zeroPoints = Array.from({ length: count }, () => zeroPoint)
  const zero =
    dtype === 'uint8'
      ? tensorOf('uint8', dims, Uint8Array.from(zeroPoints))
      : tensorOf('int8', dims, Int8Array.from(zeroPoints))
  const scales = new Float32Array(count).fill(scale)
  return [
    graph.addInitializer(graph.freshName(`${hint}_scale`), tensorOf('float32', dims, scales)),
    graph.addInitializer(graph.freshName(`${hint}_zero_point`), zero),
  ]
}
