import type { Value } from '../../ir/graph.ts'
import { viewOf } from '../../ir/tensor.ts'
import { constantValue } from '../../ops/index.ts'
import type { Backward, GradientRule, RuleTable } from '../rule.ts'

/** The output is constant but for jumps. */
const step: GradientRule = () => [null]

/** Between float types; the gradient of a quantized or integer output never gets here. */
const cast: GradientRule = ({ dy, x, op }) => [() => op('CastLike', [dy, x]), null]

/** In training the kept elements are scaled up by 1 / (1 − ratio); otherwise Dropout is the identity. */
const dropout: GradientRule = (back) => {
  const { node, dy, mul, sub, div } = back
  const [ratio, mode] = [node.inputs[1], node.inputs[2]]
  if (mode === undefined) return [() => dy]
  const isTraining = constantValue(mode)
  if (isTraining === undefined) return back.refuse('has a training mode that is decided when it runs')
  if (viewOf(isTraining)[0] === 0) return [() => dy, null]
  const kept = (value: Value) => back.where(back.outputs(2)[1] as Value, value, 0)
  return [() => kept(ratio === undefined ? mul(dy, 2) : div(dy, sub(1, ratio))), null]
}

/** dy / √(1 + sign·x²), and the like. */
const overRoot = (back: Backward, inside: Value) => back.div(back.dy, back.op('Sqrt', [inside]))
const square = ({ x, mul }: Backward) => mul(x, x)

/** Functions of one input, element by element. */
export const pointwise = {
  Abs: ({ dy, x, mul, op }) => [() => mul(dy, op('Sign', [x]))],
  Acos: (back) => [() => back.neg(overRoot(back, back.sub(1, square(back))))],
  Acosh: (back) => [() => overRoot(back, back.sub(square(back), 1))],
  Asin: (back) => [() => overRoot(back, back.sub(1, square(back)))],
  Asinh: (back) => [() => overRoot(back, back.add(square(back), 1))],
  Atan: (back) => [() => back.div(back.dy, back.add(square(back), 1))],
  Atanh: (back) => [() => back.div(back.dy, back.sub(1, square(back)))],
  Cast: cast,
  CastLike: cast,
  Ceil: step,
  Cos: ({ dy, x, mul, neg, op }) => [() => neg(mul(dy, op('Sin', [x])))],
  Cosh: ({ dy, x, mul, op }) => [() => mul(dy, op('Sinh', [x]))],
  Dropout: dropout,
  Erf: (back) => [() => back.mul(back.dy, back.mul(back.op('Exp', [back.neg(square(back))]), 2 / Math.sqrt(Math.PI)))],
  Exp: ({ dy, y, mul }) => [() => mul(dy, y)],
  Floor: step,
  Identity: ({ dy }) => [() => dy],
  Log: ({ dy, x, div }) => [() => div(dy, x)],
  Neg: ({ dy, neg }) => [() => neg(dy)],
  Reciprocal: ({ dy, y, mul, neg }) => [() => neg(mul(dy, mul(y, y)))],
  Round: step,
  Sign: step,
  Sin: ({ dy, x, mul, op }) => [() => mul(dy, op('Cos', [x]))],
  Sinh: ({ dy, x, mul, op }) => [() => mul(dy, op('Cosh', [x]))],
  Sqrt: ({ dy, y, mul, div }) => [() => div(mul(dy, 0.5), y)],
  Tan: ({ dy, y, mul, add }) => [() => mul(dy, add(mul(y, y), 1))],
} satisfies RuleTable
