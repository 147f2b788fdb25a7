import { attribute, getInt, getInts } from '../../ir/attribute.ts'
import { dtypeOfNumber } from '../../ir/dtype.ts'
import type { Value } from '../../ir/graph.ts'
import type { Tensor } from '../../ir/tensor.ts'
import { constantValue } from '../../ops/index.ts'
import { scalarOf } from '../constants.ts'
import { any, constant, op, opWhere, type Match, type OpPattern } from '../pattern.ts'
import { canBypass, defineRule, type Rule, type RuleScope } from '../rule.ts'

const x = any('x')

/** A rule that lets the readers of the root read `x` instead. */
function bypass(name: string, title: string, match: OpPattern | OpPattern[], when?: Rule['when']): Rule {
  return defineRule({
    name,
    title,
    exact: true,
    match,
    when: (found, scope) => {
      const bypassed = canBypass(found)
      return bypassed === true ? (when?.(found, scope) ?? true) : bypassed
    },
    replace: (_build, { values }) => values['x'] as Value,
  })
}

function castsToSame({ root, values }: Match, { types }: RuleScope): boolean | string {
  const from = types.of(values['x'])?.dtype
  return from === undefined ? 'the type of its input is not known' : dtypeOfNumber(getInt(root, 'to', 0)) === from
}

function isInferenceDropout({ root }: Match): true | string {
  const mask = root.outputs[1]
  if (mask !== undefined && (mask.uses.size > 0 || mask.isGraphOutput)) return 'its mask is used'
  const training = root.inputs[2]
  if (training === undefined) return true
  const flag = constantValue(training)
  return flag !== undefined && scalarOf(flag) === 0 ? true : 'it may be in training mode'
}

function neutral(value: number) {
  return constant((tensor) => scalarOf(tensor) === value, 'c')
}

/** A one-element constant of higher rank than the other operand would raise the rank of the result. */
function keepsRank({ values }: Match, { types }: RuleScope): true | string {
  const rank = (constantValue(values['c']) as Tensor).dims.length
  const known = types.of(values['x'])?.dims?.length
  if (rank === 0 || (known !== undefined && known >= rank)) return true
  return known === undefined ? 'the rank of its operand is not known' : 'it raises the rank'
}

const permOf = (node: Match['root']) => getInts(node, 'perm')
const transpose = (input: OpPattern | typeof x) => opWhere('Transpose', [input], (node) => permOf(node) !== undefined)

/** The second Transpose after the first, as one: out[i] = first[second[i]]. */
const mergeTransposes = defineRule({
  name: 'merge-transposes',
  title: 'two Transposes in a row become one',
  exact: true,
  match: transpose(transpose(x)),
  replace: (build, { values, nodes: [outer, inner] }) => {
    const first = (inner && permOf(inner)) ?? []
    const second = (outer && permOf(outer)) ?? []
    const perm = second.map((axis) => first[axis] ?? axis)
    return build.op('Transpose', [values['x']], { perm: attribute.ints(perm) })
  },
})

/** Operators that pass their input on. */
export const identityRules: readonly Rule[] = [
  bypass('remove-identity', 'Identity removed', op('Identity', x)),
  bypass('remove-dropout', 'Dropout does nothing in inference', opWhere('Dropout', [x]), isInferenceDropout),
  bypass('remove-cast', 'Cast to the type it has removed', op('Cast', x), castsToSame),
  bypass(
    'remove-transpose',
    'Transpose that keeps the order removed',
    opWhere('Transpose', [x], (node) => permOf(node)?.every((axis, index) => axis === index) ?? false),
  ),
  bypass(
    'remove-single',
    'operator over a list of one removed',
    ['Concat', 'Sum', 'Max', 'Min', 'Mean'].map((opType) => op(opType, x)),
  ),
  bypass(
    'remove-neutral',
    'adding 0 or multiplying by 1 removed',
    [
      op('Add', x, neutral(0)),
      op('Mul', x, neutral(1)),
      op('Sub', x, neutral(0)),
      op('Div', x, neutral(1)),
      op('Pow', x, neutral(1)),
    ],
    keepsRank,
  ),
  mergeTransposes,
]
