import { elementCount, tensorOf, viewOf, type Tensor } from '../../ir/tensor.ts'
import { constantValue } from '../../ops/index.ts'
import { any, constant, op, type Match } from '../pattern.ts'
import { defineRule, type Rule } from '../rule.ts'

// Two operators with constants become one: x ∘ c₁ ∘ c₂ = x ∘' c. Sub and Div by a constant are Add and Mul of its
// opposite, so that each pair needs one sign or exponent.

interface Group {
  readonly result: string
  /** Operators of the group, and the sign (or exponent) with which they take their constant. */
  readonly members: Readonly<Record<string, 1 | -1>>
  readonly combine: (first: number, second: number, firstSign: 1 | -1, secondSign: 1 | -1) => number
}

const groups: readonly Group[] = [
  { result: 'Add', members: { Add: 1, Sub: -1 }, combine: (a, b, s, t) => s * a + t * b },
  { result: 'Mul', members: { Mul: 1, Div: -1 }, combine: (a, b, s, t) => a ** s * b ** t },
]

function isFloat32(tensor: Tensor): boolean {
  return tensor.dtype === 'float32'
}

const patterns = groups.flatMap(({ members }) =>
  Object.keys(members).flatMap((outer) =>
    Object.keys(members).map((inner) =>
      op(outer, op(inner, any('x'), constant(isFloat32, 'first')), constant(isFloat32, 'second')),
    ),
  ),
)

/** The constant of both together, in the dims of the larger; undefined where it would be larger than either. */
function combined({ nodes: [outer, inner], values }: Match): { result: string; tensor: Tensor } | undefined {
  const [first, second] = [values['first'], values['second']].map((value) => constantValue(value) as Tensor)
  const group = groups.find(({ members }) => outer !== undefined && outer.opType in members)
  if (first === undefined || second === undefined || group === undefined) return undefined
  const dims = jointDims(first, second)
  const [firstSign, secondSign] = [group.members[inner?.opType ?? ''], group.members[outer?.opType ?? '']]
  if (dims === undefined || firstSign === undefined || secondSign === undefined) return undefined
  const [a, b] = [viewOf(first, 'float32'), viewOf(second, 'float32')]
  const at = (list: Float32Array, index: number) => list[list.length === 1 ? 0 : index] ?? 0
  const data = Float32Array.from({ length: elementCount(dims) }, (_, index) =>
    group.combine(at(a, index), at(b, index), firstSign, secondSign),
  )
  return { result: group.result, tensor: tensorOf('float32', dims, data) }
}

function jointDims({ dims: a }: Tensor, { dims: b }: Tensor): readonly number[] | undefined {
  const same = a.length === b.length && a.every((size, axis) => size === b[axis])
  if (same) return a
  // A single element broadcasts against anything, as long as it does not raise the rank.
  if (elementCount(b) === 1 && b.length <= a.length) return a
  return elementCount(a) === 1 && a.length <= b.length ? b : undefined
}

function isUsable(tensor: Tensor): boolean {
  return viewOf(tensor, 'float32').every((value) => Number.isFinite(value))
}

/** Neighbouring arithmetic with constants becomes one operator. */
export const mergeArithmetic: Rule = defineRule({
  name: 'merge-arithmetic',
  title: 'arithmetic with two constants became one operator',
  match: patterns,
  when: (match) => {
    const inner = match.nodes[1]?.outputs[0]
    if (inner === undefined || inner.uses.size !== 1 || inner.isGraphOutput)
      return 'the value between has other readers'
    const merged = combined(match)
    if (merged === undefined) return 'together the constants would be larger than each'
    return isUsable(merged.tensor) || 'the constant of both is not finite'
  },
  replace: (build, match) => {
    const { result, tensor } = combined(match) as { result: string; tensor: Tensor }
    return build.op(result, [match.values['x'], build.constant(tensor, 'constant')])
  },
})
