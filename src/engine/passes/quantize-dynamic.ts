import { quantizeWeight } from '../calibrate/affine.ts'
import { attribute } from '../ir/attribute.ts'
import { dtypeTable } from '../ir/dtype.ts'
import type { Graph, Node, Value } from '../ir/graph.ts'
import { cloneModel } from '../ir/clone.ts'
import { graphsWithin, type Model } from '../ir/model.ts'
import { elementCount, tensorOf } from '../ir/tensor.ts'
import { removeDeadNodes, removeUnusedInitializers } from '../rewrite/dead.ts'
import { int8Warnings, reducesRange } from './int8-target.ts'
import { upgradeOpset } from './opset/upgrade.ts'
import { definePass, type Note, type PassOptions } from './pass.ts'
import { isExcluded, readLinear, type LinearNode } from './quantize/linear-nodes.ts'
import { liftConstants } from './simplify/lift-constants.ts'

type Options = Omit<PassOptions<'quantize.dynamic'>, 'reduceRange'> & { readonly reduceRange: boolean }

/** int8 MatMul and Gemm: weights quantized now, activations at run time, so no calibration is needed. */
export const quantizeDynamicPass = definePass({
  name: 'quantize.dynamic',
  stage: 'optimize',
  version: 1,
  async run(original, options, { target, signal }) {
    signal.throwIfAborted()
    const model = cloneModel(original)
    liftConstants(model)
    const declined = upgradeOpset(model)
    if (declined !== undefined)
      return { model: original, modified: false, notes: [{ action: 'skipped', reason: declined }] }
    const reduceRange = reducesRange(target, options.reduceRange)
    const notes = quantizeNodes(model, { ...options, reduceRange })
    const modified = notes.some((note) => note.action === 'done')
    if (!modified) return { model: original, modified, notes }
    removeDeadNodes(model.graph)
    removeUnusedInitializers(model)
    return { model, modified, notes, warnings: int8Warnings(target, reduceRange) }
  },
})

function quantizeNodes(model: Model, options: Options): Note[] {
  return [...graphsWithin(model.graph)].flatMap((graph) => {
    const quantized: QuantizedInputs = new Map()
    const nodes = [...graph.nodes].filter((node) => node.domain === '' && isWanted(node, options))
    return nodes.map((node) => quantizeNode(graph, node, options, quantized))
  })
}

/** The integers, scale and zero point of each value that several nodes may read. */
type QuantizedInputs = Map<Value, readonly [Value, Value, Value]>

function isWanted({ opType }: Node, { ops }: Options): boolean {
  return (ops as readonly string[]).includes(opType)
}

function quantizeNode(graph: Graph, node: Node, options: Options, quantized: QuantizedInputs): Note {
  const { name, opType } = node
  const linear = chooseNode(node, options)
  if (typeof linear === 'string') return { node: name, op: opType, action: 'skipped', reason: linear }
  replaceByInteger(graph, linear, options, quantized)
  return { node: name, op: opType, action: 'done', reason: 'runs in int8, the range of its input measured at run time' }
}

function chooseNode(node: Node, { exclude, minElements }: Options): LinearNode | string {
  if (isExcluded(node, exclude)) return 'excluded by the options'
  const linear = readLinear(node)
  if (typeof linear === 'string') return linear
  const { dtype } = linear.input.type ?? {}
  if (dtype !== undefined && dtype !== 'float32') return `its input is ${dtype}`
  const elements = elementCount(linear.weight.dims)
  return elements >= minElements ? linear : `its weight has ${elements} elements, fewer than ${minElements}`
}

/**
 * DynamicQuantizeLinear → MatMulInteger → Cast → Mul by both scales, and the bias in float: the form that ONNX Runtime
 * fuses into one kernel.
 */
function replaceByInteger(graph: Graph, linear: LinearNode, options: Options, quantized: QuantizedInputs): void {
  const { node, input } = linear
  const op = (opType: string, inputs: Value[], attributes = {}) =>
    graph.insertBefore(node, { opType, name: graph.freshName(`${node.name}/${opType}`), inputs, attributes })
      .outputs[0] as Value
  const [data, scale, zeroPoint] = quantizeInput(graph, node, input, quantized)
  const weight = writeWeight(graph, linear, options)
  const product = op('MatMulInteger', [data, weight.data, zeroPoint, weight.zeroPoint])
  const float = op('Cast', [product], { to: attribute.int(dtypeTable.float32.onnx) })
  const result = op('Mul', [float, op('Mul', [scale, weight.scale])])
  const [output] = node.outputs as [Value]
  result.type = output.type
  graph.replaceAllUses(output, addBias(graph, linear, result, op))
  graph.removeNode(node)
}

function quantizeInput(
  graph: Graph,
  node: Node,
  input: Value,
  quantized: QuantizedInputs,
): readonly [Value, Value, Value] {
  const known = quantized.get(input)
  if (known !== undefined) return known
  const name = graph.freshName(`${input.name}/DynamicQuantizeLinear`)
  const { outputs } = graph.insertBefore(node, { opType: 'DynamicQuantizeLinear', name, inputs: [input], outputs: 3 })
  const [data, scale, zeroPoint] = outputs as readonly [Value, Value, Value]
  quantized.set(input, [data, scale, zeroPoint])
  return [data, scale, zeroPoint]
}

function writeWeight(graph: Graph, { node, weight, weights, axis }: LinearNode, options: Options) {
  const isTransposed = node.opType === 'Gemm' && axis === 0
  const [rows = 0, columns = 0] = weight.dims
  const values = isTransposed ? transpose(weights, rows, columns) : weights
  const dims = isTransposed ? [columns, rows] : weight.dims
  const { tensor, scales } = quantizeWeight(values, dims, {
    axis: options.perChannel ? 1 : undefined,
    reduceRange: options.reduceRange,
  })
  const add = (suffix: string, each: typeof tensor) =>
    graph.addInitializer(graph.freshName(`${node.name}/${suffix}`), each)
  return {
    data: add('weight_quantized', tensor),
    scale: add('weight_scale', tensorOf('float32', options.perChannel ? [scales.length] : [], scales)),
    zeroPoint: add('weight_zero_point', tensorOf('int8', [], Int8Array.of(0))),
  }
}

function transpose(values: Float32Array, rows: number, columns: number): Float32Array {
  return new Float32Array(values.length).map(
    (_, index) => values[(index % rows) * columns + Math.floor(index / rows)] as number,
  )
}

/** Gemm's bias, alpha and beta multiplied out. */
function addBias(
  graph: Graph,
  { node, bias }: LinearNode,
  product: Value,
  op: (opType: string, inputs: Value[]) => Value,
): Value {
  if (bias === undefined) return product
  const tensor = tensorOf('float32', [bias.length], Float32Array.from(bias))
  return op('Add', [product, graph.addInitializer(graph.freshName(`${node.name}/bias`), tensor)])
}
