import { getFloat, getInt } from '../../ir/attribute.ts'
import type { Node, Value } from '../../ir/graph.ts'
import type { Tensor } from '../../ir/tensor.ts'
import { floatsOf } from '../compare-tensors.ts'
import { constantValue } from '../../ops/index.ts'
import { numbersOf } from '../../rewrite/constants.ts'

/** A Conv, MatMul or Gemm with constant weights, read out for quantization. */
export interface LinearNode {
  readonly node: Node
  readonly input: Value
  readonly weight: Tensor
  /** Weights in float32, Gemm's alpha multiplied in. */
  readonly weights: Float32Array
  /** Axis of the output channels in the weight. */
  readonly axis: number
  readonly channels: number
  /** One number per output channel, Gemm's beta multiplied in; undefined without a bias. */
  readonly bias: readonly number[] | undefined
}

type LinearReader = (node: Node, weight: Tensor) => { axis: number } | string

/** Operators with weights in input 1 that have int8 kernels: where their output channels are, or why not this node. */
const readers: Readonly<Record<string, LinearReader>> = {
  Conv: (node, weight) => {
    const group = getInt(node, 'group', 1)
    if (group > 1 && weight.dims[1] === 1) return 'it is depthwise: its int8 kernel is slower than the float one'
    return { axis: 0 }
  },
  MatMul: (_node, weight) =>
    weight.dims.length === 2 ? { axis: 1 } : `its weight has ${weight.dims.length} axes, not 2`,
  Gemm: (node, weight) => {
    if (getInt(node, 'transA', 0) !== 0) return 'its first input is transposed'
    if (weight.dims.length !== 2) return `its weight has ${weight.dims.length} axes, not 2`
    return { axis: getInt(node, 'transB', 0) === 1 ? 0 : 1 }
  },
}

/** Whether the options leave a node out: by its name or that of its result, by a pattern with *, or as op:Type. */
export function isExcluded(node: Node, exclude: readonly string[]): boolean {
  const names = [node.name, node.outputs[0]?.name ?? '', `op:${node.opType}`]
  return exclude.some((entry) =>
    entry.includes('*') ? names.some((name) => matchesPattern(name, entry)) : names.includes(entry),
  )
}

/** The parts between the stars must occur in order; a regular expression could take ages over a hostile pattern. */
function matchesPattern(name: string, pattern: string): boolean {
  const parts = pattern.split('*')
  const [first = '', last = ''] = [parts[0], parts.at(-1)]
  if (!name.startsWith(first) || !name.endsWith(last) || name.length < first.length + last.length) return false
  const end = name.length - last.length
  let from = first.length
  for (const part of parts.slice(1, -1)) {
    const found = name.indexOf(part, from)
    if (found === -1 || found + part.length > end) return false
    from = found + part.length
  }
  return true
}

export function isLinearOp(node: Node): boolean {
  return node.domain === '' && Object.hasOwn(readers, node.opType)
}

/** Reads a node's weights, or says why it can't be quantized. */
export function readLinear(node: Node): LinearNode | string {
  const [input, weightInput] = node.inputs
  const weight = constantValue(weightInput)
  if (input === undefined || weightInput === undefined) return 'an input is missing'
  if (weightInput.producer?.opType === 'DequantizeLinear') return 'it is quantized already'
  if (weight === undefined)
    return constantValue(input) === undefined ? 'both its inputs are activations' : 'its weight is not its second input'
  if (constantValue(input) !== undefined) return 'its input is a constant'
  const weights = weight.dtype === 'float32' ? floatsOf(weight) : undefined
  if (!(weights instanceof Float32Array)) return `its weight is ${weight.dtype}`
  if (!weights.every(Number.isFinite)) return 'its weight is not finite'
  const read = readers[node.opType]?.(node, weight) ?? 'it has no int8 kernel'
  if (typeof read === 'string') return read
  const channels = weight.dims[read.axis] ?? 0
  const bias = readBias(node, channels)
  if (typeof bias === 'string') return bias
  const alpha = getFloat(node, 'alpha', 1)
  return {
    node,
    input,
    weight,
    weights: alpha === 1 ? weights : weights.map((value) => value * alpha),
    axis: read.axis,
    channels,
    bias: bias.values,
  }
}

/** A bias of any shape that broadcasts as one number per channel: [N], [1, N], [1], scalar. */
function readBias(node: Node, channels: number): { values?: readonly number[] } | string {
  const input = node.inputs[2]
  if (input === undefined || node.opType === 'MatMul') return {}
  const tensor = constantValue(input)
  if (tensor === undefined) return 'its bias is not a constant'
  const numbers = tensor.dtype === 'float32' ? numbersOf(tensor) : undefined
  if (numbers === undefined || !numbers.every(Number.isFinite)) return `its bias is ${tensor.dtype} or not finite`
  const beta = getFloat(node, 'beta', 1)
  if (numbers.length === 1) return { values: Array.from({ length: channels }, () => (numbers[0] as number) * beta) }
  const isRow = numbers.length === channels && tensor.dims.at(-1) === channels
  return isRow ? { values: numbers.map((value) => value * beta) } : 'its bias is not one number per channel'
}
