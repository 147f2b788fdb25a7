import type { AffineParams } from '../../calibrate/affine.ts'
import { integerTensor } from '../../calibrate/quantize-weight.ts'
import { attribute } from '../../ir/attribute.ts'
import type { Graph, Node, Value } from '../../ir/graph.ts'
import { tensorOf } from '../../ir/tensor.ts'
import type { ValueType } from '../../ir/value-type.ts'
import type { InferredTypes } from '../../ops/index.ts'
import { pairGraph } from './pair-graph.ts'
import { activationInputs, type Plan } from './plan.ts'
import { domainOf } from './scheme.ts'

interface PairParams {
  readonly params: AffineParams
  /** Opset of the model, which decides the domain of the nodes. */
  readonly opset: number
  /** Types of the model before the pass. */
  readonly types: InferredTypes
}

function outputOf(node: Node): Value {
  return node.outputs[0] as Value
}

/**
 * Quantizes a value and back. What an int8 node gives exists in int8 only, so every reader gets it from there; of a
 * value that is float anyway only the int8 nodes do. A reader in a subgraph has the way back in there, since fusion does
 * not look around it.
 */
export function insertPair(value: Value, pair: PairParams, plan: Plan): void {
  const { producer, uses } = value
  const readers = [...uses]
  const wanted = readers.filter(({ node }) => plan.isInt8(node) && activationInputs(node).includes(value))
  const isInt8 = producer !== undefined && plan.isInt8(producer)
  const home = isInt8 ? producer.graph : pairGraph(value, wanted)
  if (home === undefined) return
  const quantize = addQuantize(home, value, pair)
  const quantized = outputOf(quantize)
  const backs = new Map<Graph, Value>()
  const backIn = (graph: Graph): Value => {
    const back = backs.get(graph) ?? dequantizeIn(graph, value, quantized, pair)
    backs.set(graph, back)
    return back
  }
  for (const { node, index } of wanted) node.setInput(index, backIn(node.graph ?? home))
  if (!isInt8) return
  if (home.outputs.includes(value)) {
    home.replaceAllUses(value, backIn(home))
    quantize.setInput(0, value)
  }
  const floats = readers.filter((use) => !wanted.includes(use))
  for (const { node, index } of floats) node.setInput(index, backIn(home))
  const guarded = floats.filter(({ node }) => leadsToUnasked(node, plan))
  const axis = guarded.length === 0 ? undefined : longAxis(pair.types.of(value))
  if (axis === undefined) return
  const other = dequantizeAlong(home, value, quantized, pair, axis)
  for (const { node, index } of guarded) node.setInput(index, other)
}

const quantizedUnasked = new Set(['Conv', 'ConvTranspose', 'Gemm'])

/** What ONNX Runtime moves a DequantizeLinear of one scale through, to its readers. */
const passedThrough = new Set(['MaxPool', 'Reshape', 'Transpose', 'Squeeze', 'Unsqueeze', 'Slice'])

/** Whether a float node is one that the runtime would quantize, or passes integers on to one. */
function leadsToUnasked(node: Node, plan: Plan): boolean {
  if (plan.isInt8(node)) return false
  if (quantizedUnasked.has(node.opType)) return true
  return passedThrough.has(node.opType) && [...outputOf(node).uses].some((use) => leadsToUnasked(use.node, plan))
}

interface Axis {
  readonly axis: number
  readonly length: number
}

/** An axis of known length, the channels where possible. One element would count as one scale. */
function longAxis(type: ValueType | undefined): Axis | undefined {
  const dims = type?.dims ?? []
  const axes = dims.flatMap((length, axis) => (typeof length === 'number' && length > 1 ? [{ axis, length }] : []))
  return axes.find(({ axis }) => axis === 1) ?? axes.at(-1)
}

/**
 * A DequantizeLinear with the one scale written once per channel: the same numbers, but ONNX Runtime (1.30) quantizes
 * the weights of a float Conv or Gemm, with one scale for all channels, when it reads a DequantizeLinear of one scale.
 * A node that is float on purpose would lose its accuracy that way.
 */
function dequantizeAlong(
  graph: Graph,
  value: Value,
  quantized: Value,
  { params, opset }: PairParams,
  { axis, length }: Axis,
): Value {
  const domain = domainOf(params.dtype, opset)
  const scale = addScale(graph, `${value.name}/channels`, params, length)
  const attributes = { axis: attribute.int(axis) }
  return outputOf(graph.addNode({ opType: 'DequantizeLinear', domain, inputs: [quantized, ...scale], attributes }))
}

function addQuantize(graph: Graph, value: Value, { params, opset }: PairParams): Node {
  const scale = addScale(graph, value.name, params, 1)
  return graph.addNode({
    opType: 'QuantizeLinear',
    domain: domainOf(params.dtype, opset),
    inputs: [value, ...scale],
  })
}

/** The way back, with the constants of the QuantizeLinear when that is in the same graph. */
function dequantizeIn(graph: Graph, value: Value, quantized: Value, { params, opset }: PairParams): Value {
  const quantize = quantized.producer as Node
  const shared = quantize.graph === graph
  const scale = shared ? quantize.inputs.slice(1) : addScale(graph, value.name, params, 1)
  const domain = domainOf(params.dtype, opset)
  return outputOf(graph.addNode({ opType: 'DequantizeLinear', domain, inputs: [quantized, ...scale] }))
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
