import { attribute, getInts } from '../../ir/attribute.ts'
import type { Node, Value } from '../../ir/graph.ts'
import { elementCount, type Tensor } from '../../ir/tensor.ts'
import { constantValue, opDefinition, type InferredTypes } from '../../ops/index.ts'
import { any, opWhere } from '../pattern.ts'
import { defineRule, type Builder, type Rule } from '../rule.ts'

/** Nodes looked at above one Transpose. */
const maxRegion = 64

/** An elementwise region above a Transpose, as it is when the Transpose moves to its leaves. */
interface Region {
  readonly types: InferredTypes
  readonly perm: readonly number[]
  /** Transposes that go minus those that come. */
  saved: number
  nodes: number
}

const permOf = (node: Node) => getInts(node, 'perm')

/** out[i] = first[second[i]]: the second Transpose after the first. */
function compose(first: readonly number[], second: readonly number[]): number[] {
  return second.map((axis) => first[axis] ?? axis)
}

function isIdentity(perm: readonly number[]): boolean {
  return perm.every((axis, index) => axis === index)
}

function isPrivate(value: Value): boolean {
  return value.uses.size === 1 && !value.isGraphOutput
}

/** Whether the elements of a node's result are computed each from those at its own place. */
function isElementwise(node: Node): boolean {
  return node.domain === '' && node.outputs.length === 1 && opDefinition(node)?.elementwise === true
}

/** Adds up what moving the Transpose above `value` saves; undefined where it can't go there. */
function survey(value: Value, region: Region): true | undefined {
  const constant = constantValue(value)
  if (constant !== undefined) return constant.dims.length <= region.perm.length || undefined
  const rank = region.types.of(value)?.dims?.length
  const { producer } = value
  const inner = producer?.opType === 'Transpose' && producer.domain === '' ? permOf(producer) : undefined
  if (inner?.length === region.perm.length) {
    if (isIdentity(compose(inner, region.perm))) region.saved += isPrivate(value) ? 1 : 0
    else region.saved -= isPrivate(value) ? 0 : 1
    return true
  }
  if (producer !== undefined && isPrivate(value) && isElementwise(producer)) return surveyInputs(producer, region)
  region.saved -= 1
  return rank === region.perm.length || undefined
}

function surveyInputs(node: Node, region: Region): true | undefined {
  region.nodes += 1
  if (region.nodes > maxRegion) return undefined
  return node.inputs.every((input) => input === undefined || survey(input, region) === true) || undefined
}

/** The tensor with its axes in another order, for constants that broadcast: lower ranks are filled with ones. */
function moveConstant(build: Builder, value: Value, tensor: Tensor, perm: readonly number[]): Value {
  if (elementCount(tensor.dims) === 1) return value
  const filled = [...Array.from({ length: perm.length - tensor.dims.length }, () => 1), ...tensor.dims]
  const reshaped = build.constant({ ...tensor, dims: filled }, 'constant')
  return build.op('Transpose', [reshaped], { perm: attribute.ints(perm) })
}

function rebuild(build: Builder, value: Value, region: Region): Value {
  const { perm } = region
  const constant = constantValue(value)
  if (constant !== undefined) return moveConstant(build, value, constant, perm)
  const { producer } = value
  const inner = producer?.opType === 'Transpose' && producer.domain === '' ? permOf(producer) : undefined
  if (producer !== undefined && inner?.length === perm.length) {
    const merged = compose(inner, perm)
    const source = producer.inputs[0] as Value
    return isIdentity(merged) ? source : build.op('Transpose', [source], { perm: attribute.ints(merged) })
  }
  if (producer !== undefined && isPrivate(value) && isElementwise(producer)) return rebuildNode(build, producer, region)
  return build.op('Transpose', [value], { perm: attribute.ints(perm) })
}

function rebuildNode(build: Builder, node: Node, region: Region): Value {
  const inputs = node.inputs.map((input) => input && rebuild(build, input, region))
  return build.op(node.opType, inputs, Object.fromEntries(node.attributes), node.domain)
}

/** A Transpose moves up through elementwise operators when it meets others there and fewer remain. */
export const cancelTransposes: Rule = defineRule({
  name: 'cancel-transposes',
  title: 'Transposes on both sides of elementwise operators cancel',
  exact: true,
  match: opWhere('Transpose', [any('x')], (node) => permOf(node) !== undefined),
  when: ({ root, values }, { types }) => {
    const source = values['x'] as Value
    const { producer } = source
    if (producer === undefined || !isPrivate(source) || !isElementwise(producer)) return false
    const region: Region = { types, perm: permOf(root) ?? [], saved: 1, nodes: 0 }
    return surveyInputs(producer, region) === true && region.saved > 0
  },
  replace: (build, { root, values }, { types }) => {
    const region: Region = { types, perm: permOf(root) ?? [], saved: 0, nodes: 0 }
    return rebuildNode(build, (values['x'] as Value).producer as Node, region)
  },
})
