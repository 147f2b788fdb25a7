import { getInt, getInts } from '../../ir/attribute.ts'
import type { Value } from '../../ir/graph.ts'
import { viewOf } from '../../ir/tensor.ts'
import { constantValue } from '../../ops/index.ts'
import type { Backward, GradientRule, RuleTable } from '../rule.ts'

/** The reduced axes, from an attribute or a constant input; undefined for all of them. */
function axesOf(back: Backward): readonly number[] | undefined {
  const { node } = back
  const rank = back.dims(back.x).length
  const attribute = getInts(node, 'axes')
  const input = node.inputs[1]
  const tensor = constantValue(input)
  if (input !== undefined && tensor === undefined) back.refuse('has axes that are computed when it runs')
  const axes = attribute ?? (tensor === undefined ? [] : Array.from(viewOf(tensor, 'int64'), Number))
  if (axes.length > 0) return axes.map((axis) => (axis < 0 ? axis + rank : axis))
  return getInt(node, 'noop_with_empty_axes', 0) === 1 ? [] : undefined
}

/** A value of the output's dims, with the reduced axes back as dims of 1. */
function kept(back: Backward, value: Value): Value {
  if (getInt(back.node, 'keepdims', 1) === 1) return value
  const axes = axesOf(back)
  const dims = back.dims(back.x).map((dim, axis) => (axes === undefined || axes.includes(axis) ? 1 : dim))
  if (dims.filter((dim) => typeof dim !== 'number').length <= 1) return back.reshape(value, dims)
  return back.op('Unsqueeze', [value, back.ints(axes ?? dims.map((_, axis) => axis))])
}

/** How many elements each output element is made of, as a scalar of x's dtype; a number where it is known. */
function countOf(back: Backward): Value | number {
  const { x } = back
  const axes = axesOf(back)
  const dims = back.dims(x).filter((_, axis) => axes === undefined || axes.includes(axis))
  if (dims.every((dim) => typeof dim === 'number')) return dims.reduce((product, dim) => product * dim, 1)
  const sizes = axes === undefined ? back.shape(x) : back.op('Gather', [back.shape(x), back.ints(axes)])
  return back.op('CastLike', [back.op('ReduceProd', [sizes], { keepdims: 0 }), x])
}

const sum: GradientRule = (back) => [() => back.expandLike(kept(back, back.dy), back.x)]

const mean: GradientRule = (back) => [
  () => {
    const count = countOf(back)
    // The small side is scaled, before it is repeated.
    const scaled = typeof count === 'number' ? back.mul(back.dy, 1 / count) : back.div(back.dy, count)
    return back.expandLike(kept(back, scaled), back.x)
  },
]

export const reductions = { ReduceSum: sum, ReduceMean: mean } satisfies RuleTable
