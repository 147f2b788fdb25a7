import { quantizeWeight } from '../../calibrate/quantize-weight.ts'
import { attribute, getFloat, getInt } from '../../ir/attribute.ts'
import { dtypeTable } from '../../ir/dtype.ts'
import type { Node, Value } from '../../ir/graph.ts'
import { elementCount, tensorOf, type Tensor } from '../../ir/tensor.ts'
import { constantValue } from '../../ops/index.ts'
import { floatsOf } from '../compare-tensors.ts'
import { readLinear } from '../quantize/linear-nodes.ts'
import type { Emit } from './emit.ts'

/** A MatMul or Gemm with a constant weight, as stacks of [depth, channels]. */
interface Product {
  readonly input: Value
  readonly source: Tensor
  readonly weights: () => Float32Array
  readonly dims: readonly number[]
  readonly bias: readonly number[] | undefined
  readonly form: string
  readonly isInputTransposed: boolean
}

export interface WeightForm {
  readonly perChannel: boolean
  readonly reduceRange: boolean
}

export function readProduct(node: Node): Product | string {
  if (node.opType === 'MatMul' && (constantValue(node.inputs[1])?.dims.length ?? 0) > 2) return readStack(node)
  const isInputTransposed = node.opType === 'Gemm' && getInt(node, 'transA', 0) !== 0
  const linear = isInputTransposed ? readTransposed(node) : readLinear(node)
  if (typeof linear === 'string') return linear
  const { input, weight, weights, axis, channels, bias } = linear
  const depth = weight.dims[1 - axis] ?? 0
  return {
    input,
    source: weight,
    weights: () => (axis === 0 ? transpose(weights, channels, depth) : weights),
    dims: [depth, channels],
    bias,
    form: `product:${axis}:${getFloat(node, 'alpha', 1)}`,
    isInputTransposed,
  }
}

/** Reads a Gemm as if its input were not transposed. */
function readTransposed(node: Node) {
  const transA = node.attributes.get('transA')
  node.removeAttribute('transA')
  const linear = readLinear(node)
  if (transA !== undefined) node.setAttribute('transA', transA)
  return linear
}

/** A MatMul whose weight is a stack of matrices. */
function readStack(node: Node): Product | string {
  const [input, weight] = node.inputs
  const source = constantValue(weight)
  if (input === undefined || source === undefined) return 'its weight is not constant'
  if (constantValue(input) !== undefined) return 'its input is a constant'
  const weights = source.dtype === 'float32' ? floatsOf(source) : undefined
  if (!(weights instanceof Float32Array)) return `its weight is ${source.dtype}`
  if (!weights.every(Number.isFinite)) return 'its weight is not finite'
  const { dims } = source
  return { input, source, weights: () => weights, dims, bias: undefined, form: 'stack', isInputTransposed: false }
}

/**
 * DynamicQuantizeLinear → MatMulInteger → Cast → Mul by both scales, and the bias in float: the form that ONNX Runtime
 * fuses into one kernel.
 */
export function convertProduct(node: Node, product: Product, form: WeightForm, emit: Emit): Value {
  const { op, shared, quantized, constant } = emit
  const { input, source, bias } = product
  const straight = product.isInputTransposed ? op('Transpose', [input], { perm: attribute.ints([1, 0]) }) : input
  const [data, scale, zeroPoint] = quantized(straight)
  const [weight, weightScale, weightZero] = shared(source, product.form, () => quantizeStack(product, form))
  const sum = op('MatMulInteger', [data, weight, zeroPoint, weightZero])
  const float = op('Cast', [sum], { to: attribute.int(dtypeTable.float32.onnx) })
  const result = op('Mul', [float, op('Mul', [scale, weightScale])])
  result.type = node.outputs[0]?.type
  if (bias === undefined) return result
  return op('Add', [result, constant('bias', tensorOf('float32', [bias.length], Float32Array.from(bias)))])
}

/** Each matrix of a stack by itself: a scale per column, or one; zero points are 0. */
function quantizeStack({ weights, dims }: Product, { perChannel, reduceRange }: WeightForm): readonly Tensor[] {
  const values = weights()
  const [depth = 0, channels = 0] = dims.slice(-2)
  const size = depth * channels
  const integers = new Int8Array(values.length)
  const scales: number[] = []
  for (let start = 0; start < values.length; start += size) {
    const matrix = values.subarray(start, start + size)
    const quantized = quantizeWeight(matrix, [depth, channels], { axis: perChannel ? 1 : undefined, reduceRange })
    const { bytes } = quantized.tensor
    integers.set(new Int8Array(bytes.buffer, bytes.byteOffset, bytes.length), start)
    scales.push(...quantized.scales)
  }
  const stack = dims.slice(0, -2)
  const scaleDims = stack.length > 0 ? [...stack, 1, perChannel ? channels : 1] : perChannel ? [channels] : []
  return [
    tensorOf('int8', dims, integers),
    tensorOf('float32', scaleDims, Float32Array.from(scales.slice(0, elementCount(scaleDims)))),
    tensorOf('int8', [], Int8Array.of(0)),
  ]
}

/** [rows, columns] to [columns, rows]. */
export function transpose(values: Float32Array, rows: number, columns: number): Float32Array {
  const result = new Float32Array(values.length)
  for (let index = 0; index < values.length; index += 1) {
    const column = index % columns
    result[column * rows + (index - column) / columns] = values[index] as number
  }
  return result
}
