import { getInt, getInts } from '../../ir/attribute.ts'
import type { Node } from '../../ir/graph.ts'
import { elementCount, type Tensor } from '../../ir/tensor.ts'
import { numbersOf } from '../../rewrite/constants.ts'

/** An upper bound of the elements a node gives for these inputs; undefined when it can't be told without running it. */
type SizeRule = (inputs: readonly (Tensor | undefined)[], node: Node) => number | undefined

const product = (numbers: readonly number[] | undefined) => numbers?.reduce((total, each) => total * each, 1)
const count = (tensor: Tensor | undefined) => (tensor === undefined ? 0 : elementCount(tensor.dims))
const numbers = (tensor: Tensor | undefined) => (tensor === undefined ? undefined : numbersOf(tensor))

const sameAsInput: SizeRule = ([first]) => count(first)
const allInputs: SizeRule = (inputs) => inputs.reduce((total, each) => total + count(each), 0)
const small: SizeRule = () => 64

/** Numpy broadcasting of any number of inputs. */
const broadcast: SizeRule = (inputs) => {
  const shapes = inputs.flatMap((input) => (input === undefined ? [] : [input.dims]))
  const rank = Math.max(0, ...shapes.map((dims) => dims.length))
  const sizes = Array.from({ length: rank }, (_, fromEnd) =>
    Math.max(...shapes.map((dims) => dims.at(-1 - fromEnd) ?? 1)),
  )
  return product(sizes)
}

const matMul: SizeRule = ([left, right]) => count(left) * (right?.dims.at(-1) ?? 1)

const gather: SizeRule = ([data, indices], node) => {
  const axis = getInt(node, 'axis', 0)
  const size = data?.dims.at(axis) ?? 1
  return (count(data) / Math.max(1, size)) * count(indices)
}

const range: SizeRule = (inputs) => {
  const [start, limit, delta] = inputs.map((input) => numbers(input)?.[0])
  if (start === undefined || limit === undefined || delta === undefined) return undefined
  return Math.max(0, Math.ceil((limit - start) / delta))
}

const tile: SizeRule = ([data, repeats]) => {
  const factor = product(numbers(repeats))
  return factor === undefined ? undefined : count(data) * factor
}

const expand: SizeRule = ([data, shape]) => {
  const sizes = numbers(shape)
  return sizes && product(sizes.map((size, index) => Math.max(size, data?.dims.at(index - sizes.length) ?? 1)))
}

const pad: SizeRule = ([data, pads], node) => {
  const amounts = numbers(pads) ?? getInts(node, 'pads')
  if (data === undefined || amounts === undefined) return undefined
  const rank = data.dims.length
  return product(data.dims.map((size, axis) => size + Math.max(0, (amounts[axis] ?? 0) + (amounts[axis + rank] ?? 0))))
}

const rows = (rule: SizeRule, ...opTypes: string[]): [string, SizeRule][] => opTypes.map((opType) => [opType, rule])

// prettier-ignore
const sizeRules: ReadonlyMap<string, SizeRule> = new Map([
  ...rows(sameAsInput,
    'Abs', 'Acos', 'Asin', 'Atan', 'BitwiseNot', 'Cast', 'Ceil', 'Cos', 'CumSum', 'Elu', 'Erf', 'Exp', 'Flatten',
    'Floor', 'HardSigmoid', 'Identity', 'IsInf', 'IsNaN', 'LeakyRelu', 'Log', 'Neg', 'Not', 'Reciprocal',
    'ReduceL1', 'ReduceL2', 'ReduceMax', 'ReduceMean', 'ReduceMin', 'ReduceProd', 'ReduceSum', 'ReduceSumSquare',
    'Relu', 'Reshape', 'Round', 'Sigmoid', 'Sign', 'Sin', 'Slice', 'Softmax', 'Softplus', 'Split', 'Sqrt', 'Squeeze',
    'Tan', 'Tanh', 'Transpose', 'Trilu', 'Unsqueeze', 'ScatterND', 'ScatterElements', 'Clip', 'ArgMax', 'ArgMin'),
  ...rows(allInputs, 'Concat'),
  ...rows(small, 'Shape', 'Size'),
  ...rows(broadcast,
    'Add', 'And', 'BitwiseAnd', 'BitwiseOr', 'BitwiseXor', 'Div', 'Equal', 'Greater', 'GreaterOrEqual', 'Less',
    'LessOrEqual', 'Max', 'Mean', 'Min', 'Mod', 'Mul', 'Or', 'Pow', 'PRelu', 'Sub', 'Sum', 'Where', 'Xor'),
  ...rows(gather, 'Gather'),
  ...rows(([, indices]) => count(indices), 'GatherElements'),
  ...rows(matMul, 'MatMul'),
  ...rows(range, 'Range'),
  ...rows(([shape]) => product(numbers(shape)), 'ConstantOfShape'),
  ...rows(expand, 'Expand'),
  ...rows(tile, 'Tile'),
  ...rows(pad, 'Pad'),
  ...rows(([data]) => count(data) * (data?.dims.length ?? 1), 'NonZero'),
])

/**
 * Most elements the outputs of a node can have, without running it. Undefined for operators that are not folded:
 * those that draw random numbers, run subgraphs, hold weights in quantized form, or have no bound here.
 */
export function foldedSize(node: Node, inputs: readonly (Tensor | undefined)[]): number | undefined {
  const rule = node.domain === '' ? sizeRules.get(node.opType) : undefined
  const size = rule?.(inputs, node)
  return size === undefined || Number.isNaN(size) ? undefined : size
}
