import { getInts } from '../../ir/attribute.ts'
import type { Node, Value } from '../../ir/graph.ts'
import { tensorOf } from '../../ir/tensor.ts'
import type { Dim } from '../../ir/value-type.ts'
import { constantValue } from '../../ops/index.ts'
import { numbersOf } from '../constants.ts'
import { any, opWhere, type Match } from '../pattern.ts'
import { canBypass, defineRule, type Rule, type RuleScope } from '../rule.ts'

/** Operators that keep the elements in their order and only count them off in other dims. */
const reshaping = ['Reshape', 'Flatten', 'Squeeze', 'Unsqueeze']

function isReshaping(node: Node | undefined): boolean {
  return node !== undefined && node.domain === '' && reshaping.includes(node.opType)
}

/** Dims as the target of a Reshape; undefined when more than one is unknown, or one is 0, which would mean a copy. */
function targetOf(dims: readonly Dim[] | null | undefined): number[] | undefined {
  if (dims == null || dims.some((dim) => dim === 0)) return undefined
  const target = dims.map((dim) => (typeof dim === 'number' ? dim : -1))
  return target.filter((dim) => dim === -1).length <= 1 ? target : undefined
}

const roots = reshaping.map((opType) => opWhere(opType, [any('x')]))

/** Same numbers in the same places, and at most one dim unknown, which the count of elements then settles. */
function keepsDims({ root, values }: Match, { types }: RuleScope): boolean {
  const from = targetOf(types.of(values['x'])?.dims)
  const to = targetOf(types.of(root.outputs[0])?.dims)
  return from !== undefined && from.length === to?.length && from.every((dim, axis) => dim === to[axis])
}

const removeReshape = defineRule({
  name: 'remove-reshape',
  title: 'reshaping to the shape it has removed',
  exact: true,
  match: roots,
  when: (match, scope) => keepsDims(match, scope) && canBypass(match),
  replace: (_build, { values }) => values['x'] as Value,
})

/** A chain of reshapes is its last one, where the dims it ends in are known. */
const mergeReshapes = defineRule({
  name: 'merge-reshapes',
  title: 'of reshapes in a row the last counts',
  exact: true,
  match: roots,
  when: ({ root, values }, { types }) => {
    if (!isReshaping(values['x']?.producer)) return false
    const target = constantValue(root.inputs[1])
    // A target without 0 does not look at the dims of its input.
    if (root.opType === 'Reshape' && target !== undefined && !numbersOf(target)?.includes(0)) return true
    return targetOf(types.of(root.outputs[0])?.dims) !== undefined || 'more than one dim of its result is not known'
  },
  replace: (build, { root, values }, { types }) => {
    const source = values['x']?.producer?.inputs[0]
    const target = constantValue(root.inputs[1])
    const isFree = root.opType === 'Reshape' && target !== undefined && !numbersOf(target)?.includes(0)
    if (isFree) return build.op('Reshape', [source, root.inputs[1]], Object.fromEntries(root.attributes))
    const dims = targetOf(types.of(root.outputs[0])?.dims) ?? []
    const shape = build.constant(tensorOf('int64', [dims.length], BigInt64Array.from(dims, BigInt)), 'shape')
    return build.op('Reshape', [source, shape])
  },
})

function axesOf(node: Node): number[] | undefined {
  const constant = constantValue(node.inputs[1])
  return getInts(node, 'axes') ?? (constant && numbersOf(constant))
}

/** Squeeze of just the axes that Unsqueeze made: works whatever the dims are. */
const undoUnsqueeze = defineRule({
  name: 'undo-unsqueeze',
  title: 'Squeeze after Unsqueeze of the same axes removed',
  exact: true,
  match: opWhere('Squeeze', [opWhere('Unsqueeze', [any('x')])]),
  when: (match) => {
    const [outer, inner] = match.nodes
    const [taken, made] = [outer && axesOf(outer), inner && axesOf(inner)]
    if (taken === undefined || made === undefined || taken.length !== made.length) return false
    return made.every((axis) => taken.includes(axis)) && canBypass(match)
  },
  replace: (_build, { values }) => values['x'] as Value,
})

/** What only counts elements off in other dims. */
export const reshapeRules: readonly Rule[] = [removeReshape, undoUnsqueeze, mergeReshapes]
