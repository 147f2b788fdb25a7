import type { Value } from '../ir/graph.ts'
import type { Backward } from './rule.ts'

/**
 * The gradient of an operator that only moves or repeats elements, whatever decides where to: the operator applied to the
 * elements' own numbers says where each output element came from, and dY is added up there. Numbers are int64.
 */
export function scatterBack(back: Backward, apply: (numbers: Value) => Value): Value {
  const { x, dy, op, ints } = back
  const flat = (value: Value) => op('Reshape', [value, ints([-1])])
  const scalar = (value: number) => op('Squeeze', [ints([value])])
  const range = op('Range', [scalar(0), op('Size', [x]), scalar(1)])
  const numbers = apply(back.reshapeLike(back.setType(range, { dtype: 'int64', dims: [null] }), x))
  const sums = op('ScatterElements', [flat(back.zerosLike(x)), flat(numbers), flat(dy)], { axis: 0, reduction: 'add' })
  return back.reshapeLike(sums, x)
}
