import type { AffineParams } from '../../calibrate/affine.ts'
import { integerTensor } from '../../calibrate/quantize-weight.ts'
import { attribute } from '../../ir/attribute.ts'
import type { Graph, Node, Value } from '../../ir/graph.ts'
import { tensorOf } from '../../ir/tensor.ts'
import { activationInputs, type Plan } from './plan.ts'
import { domainOf } from './scheme.ts'

interface PairParams {
  readonly params: AffineParams
  /** Opset of the model, which decides the domain of the nodes. */
  readonly opset: number
}

function outputOf(node: Node): Value {
  return node.outputs[0] as Value
}

/**
 * Quantizes a value and back. What an int8 node gives exists in int8 only, so every reader gets it from there; of a
 * value that is float anyway only the int8 nodes do.
 */
export function insertPair(graph: Graph, value: Value, pair: PairParams, plan: Plan): void {
  const { params, opset } = pair
  const domain = domainOf(params.dtype, opset)
  const readers = [...value.uses]
  const scale = addScale(graph, value.name, params, 1)
  const quantize = graph.addNode({ opType: 'QuantizeLinear', domain, inputs: [value, ...scale] })
  const [quantized] = quantize.outputs as [Value]
  const back = outputOf(graph.addNode({ opType: 'DequantizeLinear', domain, inputs: [quantized, ...scale] }))
  const wanted = readers.filter(({ node }) => plan.isInt8(node) && activationInputs(node).includes(value))
  for (const { node, index } of wanted) node.setInput(index, back)
  const { producer } = value
  if (producer === undefined || !plan.isInt8(producer)) return
  if (value.isGraphOutput) {
    graph.replaceAllUses(value, back)
    quantize.setInput(0, value)
  }
  const floats = readers.filter((use) => !wanted.includes(use))
  for (const { node, index } of floats) node.setInput(index, back)
  const guarded = floats.filter(({ node }) => quantizedUnasked.has(node.opType))
  const channels = guarded.length === 0 ? undefined : channelsOf(producer, plan)
  if (channels === undefined) return
  const other = dequantizeByChannel(graph, value, quantized, pair, channels)
  for (const { node, index } of guarded) node.setInput(index, other)
}

const quantizedUnasked = new Set(['Conv', 'ConvTranspose', 'Gemm'])

/**
 * A DequantizeLinear with the one scale written once per channel: the same numbers, but ONNX Runtime (1.30) quantizes
 * the weights of a float Conv or Gemm, with one scale for all channels, when it reads a DequantizeLinear of one scale.
 * A node that is float on purpose would lose its accuracy that way.
 */
function dequantizeByChannel(
  graph: Graph,
  value: Value,
  quantized: Value,
  { params, opset }: PairParams,
  channels: number,
): Value {
  const domain = domainOf(params.dtype, opset)
  const scale = addScale(graph, `${value.name}/channels`, params, channels)
  const attributes = { axis: attribute.int(1) }
  return outputOf(graph.addNode({ opType: 'DequantizeLinear', domain, inputs: [quantized, ...scale], attributes }))
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
  const scales = new Float32Array(count).fill(scale)
  const zeroPoints = Array.from({ length: count }, () => zeroPoint)
  return [
    graph.addInitializer(graph.freshName(`${hint}_scale`), tensorOf('float32', dims, scales)),
    graph.addInitializer(graph.freshName(`${hint}_zero_point`), integerTensor(dtype, dims, zeroPoints)),
  ]
}
