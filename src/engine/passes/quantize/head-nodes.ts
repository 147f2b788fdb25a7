import { subgraphsOf } from '../../ir/attribute.ts'
import type { Node, Value } from '../../ir/graph.ts'
import type { Model } from '../../ir/model.ts'
import { constantValue } from '../../ops/index.ts'
import { isLinearOp } from './linear-nodes.ts'

/**
 * The nodes, with the reason to keep them in float, that are fewer than `count` layers with weights away from an output, counting those layers themselves. An
 * output of a node with subgraphs is one of theirs.
 */
export function headNodes({ graph }: Model, count: number): ReadonlyMap<Node, string> {
  const left = new Map<Node, number>()
  const pending = graph.outputs.map((value) => ({ value, layers: count }))
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const node = next.value.producer
    if (node === undefined || next.layers <= (left.get(node) ?? 0)) continue
    left.set(node, next.layers)
    const layers = next.layers - (hasWeights(node) ? 1 : 0)
    pending.push(...node.inputs.filter(isValue).map((value) => ({ value, layers })))
    for (const { outputs } of subgraphsOf(node)) pending.push(...outputs.map((value) => ({ value, layers })))
  }
  const reason = 'it is in the head that the options keep in float'
  return new Map(Array.from(left.keys(), (node) => [node, reason]))
}

function hasWeights(node: Node): boolean {
  return isLinearOp(node) && constantValue(node.inputs[1]) !== undefined
}

function isValue(value: Value | undefined): value is Value {
  return value !== undefined
}
