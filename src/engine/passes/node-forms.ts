import { getInt } from '../ir/attribute.ts'
import type { Node, Value } from '../ir/graph.ts'
import { allNodes, type Model } from '../ir/model.ts'
import { constantValue, inferTypes, type InferredTypes } from '../ops/index.ts'
import type { NodeForm } from './findings.ts'

type FormReader = (node: Node, types: InferredTypes) => NodeForm

const blocks: FormReader = (node) => ({
  kind: 'blocks',
  activations: 'float32',
  weights: `uint${getInt(node, 'bits', 4)}`,
  per_channel: null,
})

const dynamic: FormReader = (node) => {
  const weight = constantValue(node.inputs[1])
  const zero = constantValue(node.inputs[3])
  const perChannel = zero === undefined ? null : zero.dims.length > 0 && (zero.dims[0] ?? 1) > 1
  return { kind: 'dynamic', activations: 'uint8', weights: weight?.dtype ?? null, per_channel: perChannel }
}

/** Operators that say by their type how they compute. */
const formsByOp: Readonly<Record<string, FormReader>> = {
  MatMulNBits: blocks,
  GatherBlockQuantized: blocks,
  MatMulInteger: dynamic,
  ConvInteger: dynamic,
  MatMulIntegerToFloat: dynamic,
  DynamicQuantizeMatMul: dynamic,
  DynamicQuantizeLSTM: (node) => ({
    kind: 'dynamic',
    activations: 'uint8',
    weights: constantValue(node.inputs[1])?.dtype ?? null,
    per_channel: null,
  }),
}

/**
 * How the nodes of a model compute, by node name: integers, 16-bit floats or float32. A kernel that took a node's place
 * is called after it, `fc/MatMulNBits`, and is found under the node's own name too.
 */
export function describeForms(model: Model): Map<string, NodeForm> {
  const types = inferTypes(model)
  const forms = new Map<string, NodeForm>()
  for (const node of allNodes(model)) {
    if (node.name === '' || isConversion(node)) continue
    const own = formsByOp[node.opType]
    const form = (own ?? plainForm)(node, types)
    forms.set(node.name, form)
    const slash = node.name.lastIndexOf('/')
    if (own !== undefined && slash > 0) forms.set(node.name.slice(0, slash), form)
  }
  return forms
}

function isConversion({ opType }: Node): boolean {
  return opType === 'QuantizeLinear' || opType === 'DequantizeLinear' || opType === 'Cast'
}

function plainForm(node: Node, types: InferredTypes): NodeForm {
  const [input, weight] = node.inputs.map(dequantized)
  if (input !== undefined && (weight !== undefined || !isFloat(node.inputs[1], types))) {
    const activations = typeOf(input.inputs[0], types)
    const weights = weight === undefined || !isConstant(weight) ? null : typeOf(weight.inputs[0], types)
    return { kind: 'qdq', activations, weights, per_channel: weights === null ? null : hasManyScales(weight) }
  }
  const dtype = typeOf(node.inputs[0], types) ?? 'float32'
  const isHalf = dtype === 'float16' || dtype === 'bfloat16'
  const weights = constantValue(node.inputs[1])?.dtype ?? (weight && typeOf(weight.inputs[0], types)) ?? null
  return { kind: isHalf ? 'half' : 'float', activations: dtype, weights, per_channel: null }
}

function dequantized(value: Value | undefined): Node | undefined {
  const producer = value?.producer
  return producer?.opType === 'DequantizeLinear' ? producer : undefined
}

function isFloat(value: Value | undefined, types: InferredTypes): boolean {
  return value !== undefined && (typeOf(value, types) ?? 'float32').includes('float')
}

function isConstant(dequantize: Node): boolean {
  return constantValue(dequantize.inputs[0]) !== undefined
}

function hasManyScales(dequantize: Node | undefined): boolean {
  return (constantValue(dequantize?.inputs[1])?.dims[0] ?? 1) > 1
}

function typeOf(value: Value | undefined, types: InferredTypes): string | null {
  return constantValue(value)?.dtype ?? types.of(value)?.dtype ?? null
}
