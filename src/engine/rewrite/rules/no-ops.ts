import { getFloats, getInt, getInts, getString } from '../../ir/attribute.ts'
import type { Node, Value } from '../../ir/graph.ts'
import type { Dim } from '../../ir/value-type.ts'
import { constantValue } from '../../ops/index.ts'
import { numbersOf } from '../constants.ts'
import { any, opWhere, type Match } from '../pattern.ts'
import { canBypass, defineRule, type Rule, type RuleScope } from '../rule.ts'

/** Numbers that are an attribute in older opsets and a constant input since. */
export function numbersAt(node: Node, name: string, index: number): readonly number[] | undefined {
  const constant = constantValue(node.inputs[index])
  return getInts(node, name) ?? (constant && numbersOf(constant))
}

/** Ends this large mean the end of the axis. */
const farEnd = 2 ** 31 - 1

/** Whether a Slice takes everything along each of its axes. */
function slicesAll(node: Node, dims: readonly Dim[] | null | undefined): boolean {
  const [starts, ends] = [numbersAt(node, 'starts', 1), numbersAt(node, 'ends', 2)]
  if (starts === undefined || ends === undefined) return false
  const hasAxes = node.inputs[3] !== undefined || node.attributes.has('axes')
  const axes = hasAxes ? numbersAt(node, 'axes', 3) : starts.map((_, axis) => axis)
  const steps = node.inputs[4] === undefined ? starts.map(() => 1) : numbersAt(node, '', 4)
  if (axes === undefined || steps?.every((step) => step === 1) !== true) return false
  const covers = (end: number, axis: number | undefined) => {
    const dim = dims?.at(axis ?? 0)
    return end >= farEnd || (typeof dim === 'number' && end >= dim)
  }
  return starts.every((start) => start === 0) && ends.every((end, index) => covers(end, axes[index]))
}

function allAre(value: number, numbers: readonly number[] | undefined): boolean {
  return numbers !== undefined && numbers.every((each) => each === value)
}

/** Scales of 1 sample every element where it is, unless the coordinates are those of a region. */
function resizesNothing(node: Node, opset: number): boolean {
  if (getString(node, 'coordinate_transformation_mode', '') === 'tf_crop_and_resize') return false
  const scales = constantValue(node.inputs[opset >= 11 ? 2 : 1])
  return allAre(1, getFloats(node, 'scales') ?? (scales && numbersOf(scales)))
}

/** Both known in full and the same. */
function sameKnownDims({ root, values }: Match, { types }: RuleScope): boolean {
  const [from, to] = [types.of(values['x'])?.dims, types.of(root.outputs[0])?.dims]
  if (from == null || from.length !== to?.length) return false
  return from.every((dim, axis) => typeof dim === 'number' && dim === to[axis])
}

/** Expand to ones only: it can't change a dim, nor the rank when the target is no longer. */
function expandsNothing(match: Match, scope: RuleScope): boolean {
  const target = constantValue(match.root.inputs[1])
  const rank = scope.types.of(match.values['x'])?.dims?.length
  const ones = target !== undefined && allAre(1, numbersOf(target)) && (target.dims[0] ?? 0) <= (rank ?? -1)
  return ones || sameKnownDims(match, scope)
}

type Test = (match: Match, scope: RuleScope) => boolean

const tests: Readonly<Record<string, Test>> = {
  Slice: ({ root, values }, { types }) => slicesAll(root, types.of(values['x'])?.dims),
  Pad: ({ root }) => allAre(0, numbersAt(root, 'pads', 1)),
  Expand: expandsNothing,
  Tile: ({ root }) => root.inputs.length === 2 && allAre(1, numbersAt(root, '', 1)),
  Split: ({ root }) => root.outputs.length === 1,
  Resize: ({ root }, { opset }) => resizesNothing(root, opset),
  Upsample: ({ root }, { opset }) => resizesNothing(root, Math.min(opset, 10)),
}

const removeNoOp = defineRule({
  name: 'remove-no-op',
  title: 'operator that passes everything on removed',
  exact: true,
  match: Object.keys(tests).map((opType) => opWhere(opType, [any('x')])),
  when: (match, scope) => tests[match.root.opType]?.(match, scope) === true && canBypass(match),
  replace: (_build, { values }) => values['x'] as Value,
})

/** The Split whose outputs, all of them and in order, the node reads. */
function splitBefore(node: Node): Node | undefined {
  const split = node.inputs[0]?.producer
  if (split === undefined || split.opType !== 'Split' || split.domain !== '') return undefined
  const isWhole = split.outputs.length === node.inputs.length
  return isWhole && split.outputs.every((output, index) => output === node.inputs[index]) ? split : undefined
}

const joinSplit = defineRule({
  name: 'join-split',
  title: 'Concat of all parts of a Split removed',
  exact: true,
  match: opWhere('Concat', [any('x')]),
  when: ({ root }, { types }) => {
    const split = splitBefore(root)
    if (split === undefined) return false
    const rank = types.of(split.inputs[0])?.dims?.length ?? 0
    const positive = (axis: number) => (axis < 0 ? axis + rank : axis)
    if (positive(getInt(root, 'axis', 0)) !== positive(getInt(split, 'axis', 0))) return false
    const source = split.inputs[0]
    return source === undefined ? false : canBypass({ root, values: { x: source } })
  },
  replace: (_build, { root }) => splitBefore(root)?.inputs[0] as Value,
})

/** Inputs of a Concat, those of another one along the same axis in its place. */
function flattened(node: Node): readonly (Value | undefined)[] {
  const axis = getInt(node, 'axis')
  return node.inputs.flatMap((input) => {
    const inner = input?.producer
    const joins = inner?.opType === 'Concat' && inner.domain === '' && getInt(inner, 'axis') === axis
    return joins && input?.uses.size === 1 && !input.isGraphOutput ? inner.inputs : [input]
  })
}

const mergeConcats = defineRule({
  name: 'merge-concats',
  title: 'Concat of Concats becomes one',
  exact: true,
  match: opWhere('Concat', [any('x')]),
  when: ({ root }) => flattened(root).length > root.inputs.length,
  replace: (build, { root }) => build.op('Concat', flattened(root), Object.fromEntries(root.attributes)),
})

/** Operators on positions that leave everything where it is, and lists in lists. */
export const noOpRules: readonly Rule[] = [removeNoOp, joinSplit, mergeConcats]
