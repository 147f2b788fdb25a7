import { getInt, getInts } from '../../ir/attribute.ts'
import type { Value } from '../../ir/graph.ts'
import { viewOf } from '../../ir/tensor.ts'
import { constantValue } from '../../ops/index.ts'
import type { Backward, GradientRule, RuleTable } from '../rule.ts'

/** The reduced axes, from an attribute or a constant input; undefined for all of them. */
function axesOf(back: Backward): readonly number[] | undefined {
  const { node } = back
  const rank = back.dims(back.x).length
  const input = node.inputs[1]
  const tensor = constantValue(input)
  if (input !== undefined && tensor === undefined) back.refuse('has axes that are computed when it runs')
  const axes = getInts(node, 'axes') ?? (tensor === undefined ? [] : Array.from(viewOf(tensor, 'int64'), Number))
  if (axes.length > 0) return axes.map((axis) => (axis < 0 ? axis + rank : axis))
  return getInt(node, 'noop_with_empty_axes', 0) === 1 ? [] : undefined
}

/** A value of the output's dims, with the reduced axes back as dims of 1. A scalar broadcasts without. */
function kept(back: Backward, value: Value): Value {
  if (getInt(back.node, 'keepdims', 1) === 1 || back.dims(value).length === 0) return value
  const axes = axesOf(back)
  const dims = back.dims(back.x).map((dim, axis) => (axes === undefined || axes.includes(axis) ? 1 : dim))
  if (dims.filter((dim) => typeof dim !== 'number').length <= 1) return back.reshape(value, dims)
  return back.op('Unsqueeze', [value, back.ints(axes ?? dims.map((_, axis) => axis))])
}

/** How many elements each output element is made of: a number where it is known, else a scalar of x's dtype. */
function countOf(back: Backward): Value | number {
  const { x } = back
  const axes = axesOf(back)
  const dims = back.dims(x).filter((_, axis) => axes === undefined || axes.includes(axis))
  if (dims.every((dim) => typeof dim === 'number')) return dims.reduce((product, dim) => product * dim, 1)
  const sizes = axes === undefined ? back.shape(x) : back.op('Gather', [back.shape(x), back.ints(axes)])
  return back.op('CastLike', [back.op('ReduceProd', [sizes], { keepdims: 0 }), x])
}

/** dY repeated over what was reduced. */
const sum: GradientRule = (back) => [() => back.expandLike(kept(back, back.dy), back.x), null]

/** The small side is scaled, before it is repeated. */
const mean: GradientRule = (back) => [
  () => {
    const count = countOf(back)
    const scaled = typeof count === 'number' ? back.mul(back.dy, 1 / count) : back.div(back.dy, count)
    return back.expandLike(kept(back, scaled), back.x)
  },
  null,
]

/** Equal extremes share the gradient. */
const extreme: GradientRule = (back) => [
  () => {
    const { x, op } = back
    const isExtreme = op('CastLike', [op('Equal', [x, kept(back, back.y)]), x])
    return back.mul(isExtreme, back.div(kept(back, back.dy), back.reduce('Sum', isExtreme, axesOf(back))))
  },
  null,
]

/** A rule from the slope of the output by each element: `slope(x, y)` with y broadcast against x. */
function bySlope(slope: (back: Backward, y: () => Value) => Value): GradientRule {
  return (back) => [
    () =>
      back.mul(
        slope(back, () => kept(back, back.y)),
        kept(back, back.dy),
      ),
    null,
  ]
}

export const reductions = {
  CumSum: (back) => {
    const reverse = 1 - getInt(back.node, 'reverse', 0)
    const attributes = { reverse, exclusive: getInt(back.node, 'exclusive', 0) }
    return [() => back.op('CumSum', [back.dy, back.input(1)], attributes), null]
  },
  ReduceL1: bySlope(({ op, x }) => op('Sign', [x])),
  ReduceL2: bySlope(({ x, div }, y) => div(x, y())),
  ReduceLogSum: (back) => {
    const { op, div, dy, y, x } = back
    return [() => back.expandLike(kept(back, div(dy, op('Exp', [y]))), x), null]
  },
  ReduceLogSumExp: bySlope(({ op, sub, x }, y) => op('Exp', [sub(x, y())])),
  ReduceMax: extreme,
  ReduceMean: mean,
  ReduceMin: extreme,
  /** y / x: not a number where an element is 0. */
  ReduceProd: bySlope(({ div, x }, y) => div(y(), x)),
  ReduceSum: sum,
  ReduceSumSquare: bySlope(({ mul, x }) => mul(x, 2)),
} satisfies RuleTable
