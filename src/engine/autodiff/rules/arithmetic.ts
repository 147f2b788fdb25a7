import type { Value } from '../../ir/graph.ts'
import { viewOf } from '../../ir/tensor.ts'
import { constantValue } from '../../ops/index.ts'
import { once, type GradientRule, type RuleTable } from '../rule.ts'

/** y = xᵉ. A constant exponent, which is nearly all there are, needs no logarithm and often no Pow. */
const power: GradientRule = (back) => {
  const { x, y, dy, op, mul, sub } = back
  const exponent = back.input(1)
  const known = scalarOf(exponent)
  const like = () => (back.type(exponent).dtype === back.type(x).dtype ? exponent : op('CastLike', [exponent, x]))
  return [
    () => {
      if (known === undefined) return mul(dy, mul(like(), op('Pow', [x, sub(like(), 1)])))
      if (known === 2) return mul(dy, mul(x, 2))
      return mul(dy, mul(op('Pow', [x, back.floats(x, [known - 1])]), known))
    },
    () => back.where(op('Greater', [x, 0]), mul(dy, mul(y, op('Log', [x]))), 0),
  ]
}

function scalarOf(value: Value): number | undefined {
  const tensor = constantValue(value)
  if (tensor === undefined || tensor.dims.some((dim) => dim !== 1)) return undefined
  return tensor.dtype === 'float16' || tensor.dtype === 'string' ? undefined : Number(viewOf(tensor)[0])
}

/** The largest or least of several values: the first input that equals the output takes the gradient. */
const extreme: GradientRule = (back) => {
  const { node, y, dy, op } = back
  const isBest = node.inputs.map((_, index) => once(() => op('Equal', [back.input(index), y])))
  if (node.inputs.length === 1) return [() => dy]
  const takenBefore = (index: number): Value =>
    isBest.slice(1, index).reduce((any, test) => op('Or', [any, test()]), isBest[0]?.() as Value)
  return isBest.map((test, index) => () => {
    if (index === 0) return back.where(test(), dy, 0)
    const rest = back.where(takenBefore(index), 0, dy)
    return index === isBest.length - 1 ? rest : back.where(test(), rest, 0)
  })
}

/** Inside the bounds the identity. A bound gets what it cuts off. */
const clip: GradientRule = (back) => {
  const { x, y, dy, op, where } = back
  return [
    () => where(op('Equal', [x, y]), dy, 0),
    () => where(op('Less', [x, back.input(1)]), dy, 0),
    () => where(op('Greater', [x, back.input(2)]), dy, 0),
  ]
}

const mean: GradientRule = (back) => {
  const share = once(() => back.mul(back.dy, 1 / back.node.inputs.length))
  return back.node.inputs.map(() => share)
}

/** Element-wise operators of several inputs; the driver sums over what was broadcast. */
export const arithmetic = {
  Add: ({ dy }) => [() => dy, () => dy],
  Clip: clip,
  Div: ({ dy, y, input, mul, div, neg }) => [() => div(dy, input(1)), () => neg(div(mul(dy, y), input(1)))],
  Max: extreme,
  Mean: mean,
  Min: extreme,
  Mul: ({ dy, x, input, mul }) => [() => mul(dy, input(1)), () => mul(dy, x)],
  Pow: power,
  Sub: ({ dy, neg }) => [() => dy, () => neg(dy)],
  Sum: ({ dy, node }) => node.inputs.map(() => () => dy),
  Where: ({ dy, x, where }) => [null, () => where(x, dy, 0), () => where(x, 0, dy)],
} satisfies RuleTable
