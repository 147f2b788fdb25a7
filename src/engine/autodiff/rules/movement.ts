import { getInts } from '../../ir/attribute.ts'
import type { GradientRule, RuleTable } from '../rule.ts'

/** Operators that keep the elements in order. */
const reshaped: GradientRule = ({ dy, x, reshapeLike }) => [() => reshapeLike(dy, x), null]

const transposed: GradientRule = ({ node, dy, dims, transpose }) => [
  () => {
    const rank = dims(dy).length
    const perm = getInts(node, 'perm') ?? Array.from({ length: rank }, (_, axis) => rank - 1 - axis)
    return transpose(
      dy,
      perm.map((_, axis) => perm.indexOf(axis)),
    )
  },
]

export const movement = {
  Flatten: reshaped,
  Reshape: reshaped,
  Squeeze: reshaped,
  Transpose: transposed,
  Unsqueeze: reshaped,
} satisfies RuleTable
