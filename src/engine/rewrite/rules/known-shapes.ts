import { opDefinition } from '../../ops/index.ts'
import type { Node, Value } from '../../ir/graph.ts'
import { tensorOf, type Tensor } from '../../ir/tensor.ts'
import { constantValue } from '../../ops/index.ts'
import { any, opWhere } from '../pattern.ts'
import { defineRule, type Rule, type RuleScope } from '../rule.ts'

/** Operators that computations on shapes begin with or pass through. */
const shapeOps = ['Shape', 'Gather', 'Slice', 'Concat', 'Unsqueeze', 'Squeeze', 'Cast', 'Mul', 'Add', 'Sub', 'Div']

/** The value of a node on shapes, when every element of it is known before the model runs. */
function knownElements(node: Node, { types }: RuleScope): Tensor | undefined {
  const type = types.of(node.outputs[0])
  if (type?.dtype !== 'int64' || type.dims === null || type.dims.length > 1) return undefined
  const elements = opDefinition(node)?.elements?.(types.context(node))
  if (elements === undefined || !elements.every((each) => typeof each === 'number')) return undefined
  const dims = type.dims.length === 0 ? [] : [elements.length]
  if (dims.length === 0 && elements.length !== 1) return undefined
  return tensorOf('int64', dims, BigInt64Array.from(elements, BigInt))
}

/** Sizes that do not depend on the input become constants, though they are computed from a Shape. */
export const knownShapes: Rule = defineRule({
  name: 'fold-known-shape',
  title: 'a size that is known before the model runs became a constant',
  match: shapeOps.map((opType) => opWhere(opType, [any('x')])),
  when: ({ root }, scope) => {
    const isOutput = root.outputs[0]?.isGraphOutput === true
    // What reads constants only is for constant folding.
    if (isOutput || root.inputs.every((input) => constantValue(input) !== undefined)) return false
    return knownElements(root, scope) !== undefined
  },
  replace: (build, { root }, scope): Value => build.constant(knownElements(root, scope) as Tensor, 'size'),
})
