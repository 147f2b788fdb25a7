import { affineParams, type AffineParams } from '../../calibrate/affine.ts'
import { integerTensor } from '../../calibrate/quantize-weight.ts'
import { attribute, type Attribute } from '../../ir/attribute.ts'
import type { Graph, Node, Value } from '../../ir/graph.ts'
import type { Model } from '../../ir/model.ts'
import { tensorOf } from '../../ir/tensor.ts'
import type { LinearNode } from '../quantize/linear-nodes.ts'
import type { Scheme } from '../quantize/scheme.ts'

/** A node whose weight is rounded while it is trained. */
export interface FakeLayer {
  readonly node: string
  /** The initializer with the float weight. */
  readonly weight: string
  /** Of its input. */
  readonly input: AffineParams
}

/** The first opset whose ReduceMax takes its axes as an input. */
const axesAsInput = 18

/**
 * Rounds a weight in the graph, with the scale that it has then: the largest |w| of a channel (or of all) ÷ the highest
 * integer, so that the weight can grow while it is trained, and export finds the same scale. The weight and the bias
 * stay float; the int32 steps of a bias are too fine to matter.
 */
export function insertFakeWeights(
  model: Model,
  linear: LinearNode,
  input: AffineParams,
  { weights: affine, perChannel }: Scheme,
): FakeLayer {
  const { node } = linear
  const graph = node.graph as Graph
  const weight = foldFactors(graph, linear)
  const { low, high } = affineParams({ min: -1, max: 1 }, affine)
  const emit = emitterOf(graph, `${node.name}/fake`)
  const axis = perChannel ? linear.axis : undefined
  const largest = emitLargest(model, emit, weight, linear, axis)
  const step = emit('Max', [
    emit('Div', [largest, emit.floats([], [(high - low) / 2])]),
    emit.floats([], [smallestScale]),
  ])
  // Of 4 bits the highest integer is less than half the span: what would round above it stops there.
  const limit = (bound: number) => emit('Mul', [step, emit.floats([], [bound])])
  const within = emit('Min', [emit('Max', [weight, limit(low)]), limit(high)])
  const count = axis === undefined ? undefined : linear.channels
  const scale = emit('Reshape', [step, emit.ints(count === undefined ? [] : [count])])
  const zero = emit.constant(integerTensor('int8', count === undefined ? [] : [count], new Int8Array(count ?? 1)))
  const attributes: Record<string, Attribute> = axis === undefined ? {} : { axis: attribute.int(axis) }
  const rounded = emit('QuantizeLinear', [within, scale, zero], attributes)
  node.setInput(1, emit('DequantizeLinear', [rounded, scale, zero], attributes))
  return { node: node.name, weight: weight.name, input }
}

/** The scale of a channel of zeros, which then stay zeros. */
const smallestScale = 2 ** -120

/** A weight and a bias with Gemm's factors in them, which integers have no room for. */
function foldFactors(graph: Graph, { node, weight, weights, bias }: LinearNode): Value {
  const [, given] = node.inputs
  const isPlain = !node.attributes.has('alpha') && !node.attributes.has('beta')
  if (isPlain && given?.initializer !== undefined) return given
  for (const name of ['alpha', 'beta']) if (node.attributes.has(name)) node.removeAttribute(name)
  if (bias !== undefined) {
    const folded = tensorOf('float32', [bias.length], Float32Array.from(bias))
    node.setInput(2, graph.addInitializer(graph.freshName(`${node.name}/bias`), folded))
  }
  const tensor = tensorOf('float32', weight.dims, Float32Array.from(weights))
  return graph.addInitializer(graph.freshName(`${node.name}/weight`), tensor)
}

/** max |w|, with every axis kept. */
function emitLargest(
  model: Model,
  emit: Emit,
  weight: Value,
  { weight: { dims } }: LinearNode,
  axis: number | undefined,
) {
  const axes = dims.flatMap((_, each) => (each === axis ? [] : [each]))
  const size = emit('Abs', [weight])
  if ((model.opsetImports.get('') ?? 1) >= axesAsInput) return emit('ReduceMax', [size, emit.ints(axes)])
  return emit('ReduceMax', [size], { axes: attribute.ints(axes) })
}

interface Emit {
  (opType: string, inputs: readonly Value[], attributes?: Readonly<Record<string, Attribute>>): Value
  constant(tensor: Parameters<Graph['addInitializer']>[1]): Value
  floats(dims: readonly number[], values: readonly number[]): Value
  ints(values: readonly number[]): Value
}

function emitterOf(graph: Graph, prefix: string): Emit {
  const constant: Emit['constant'] = (tensor) => graph.addInitializer(graph.freshName(`${prefix}/constant`), tensor)
  const emit = (opType: string, inputs: readonly Value[], attributes: Readonly<Record<string, Attribute>> = {}) => {
    const added: Node = graph.addNode({ opType, name: graph.freshName(`${prefix}/${opType}`), inputs, attributes })
    return added.outputs[0] as Value
  }
  return Object.assign(emit, {
    constant,
    floats: (dims: readonly number[], values: readonly number[]) =>
      constant(tensorOf('float32', dims, Float32Array.from(values))),
    ints: (values: readonly number[]) =>
      constant(tensorOf('int64', [values.length], BigInt64Array.from(values, BigInt))),
  })
}
