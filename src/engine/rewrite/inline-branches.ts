import type { Attribute } from '../ir/attribute.ts'
import { cloneGraph } from '../ir/clone.ts'
import type { Graph, Node, Value } from '../ir/graph.ts'
import { graphsWithin, type Model } from '../ir/model.ts'
import { topologicalOrder } from '../ir/order.ts'
import { constantValue } from '../ops/index.ts'
import type { Journal } from './journal.ts'

/**
 * Puts the nodes of the branch that is taken in place of every If whose condition is the same in every run; the other
 * branch goes. Nodes keep their names, values get names that are free.
 * @returns how many went
 */
export function inlineBranches(model: Model, journal: Journal): number {
  let count = 0
  // What moves out of a branch stands in front of the place that is looked at.
  for (let before = -1; before !== count;) {
    before = count
    for (const graph of graphsWithin(model.graph)) count += inlineIn(graph, journal)
  }
  return count
}

function inlineIn(graph: Graph, journal: Journal): number {
  let count = 0
  for (const node of graph.nodes) if (inlineBranch(graph, node, journal)) count += 1
  return count
}

function inlineBranch(graph: Graph, node: Node, journal: Journal): boolean {
  const branch = branchTaken(node)
  if (branch === undefined) return false
  const rewrite = { rule: 'inline-branch', at: node.outputs[0]?.name ?? node.name, op: node.opType, exact: true }
  if (branch.sparseInitializers.length > 0) journal.refuse(rewrite, 'its branch has constants in a sparse form')
  if (branch.sparseInitializers.length > 0 || !journal.admit(rewrite)) return false
  const values = copyBranch(branch, graph, node)
  node.outputs.forEach((output, index) => {
    const result = branch.outputs[index]
    if (output.name !== '' && result !== undefined) graph.replaceAllUses(output, values.get(result) ?? result)
  })
  graph.removeNode(node)
  return true
}

function branchTaken(node: Node): Graph | undefined {
  if (node.opType !== 'If' || node.domain !== '') return undefined
  const condition = constantValue(node.inputs[0])
  if (condition?.dtype !== 'bool' || condition.bytes.byteLength !== 1) return undefined
  const taken = node.attributes.get(condition.bytes[0] === 0 ? 'else_branch' : 'then_branch')
  return taken?.kind === 'graph' ? taken.value : undefined
}

/** Copies constants and nodes of a branch in front of its If. Gives what stands for each of its values. */
function copyBranch(branch: Graph, graph: Graph, anchor: Node): ReadonlyMap<Value, Value> {
  const values = new Map<Value, Value>()
  for (const value of branch.initializers) {
    if (value.initializer === undefined) continue
    values.set(value, graph.addInitializer(graph.freshName(value.name), value.initializer))
  }
  for (const node of topologicalOrder(branch).order) copyNode(node, graph, anchor, values)
  return values
}

function copyNode(node: Node, graph: Graph, anchor: Node, values: Map<Value, Value>): void {
  const { opType, domain, overload, opaque, name } = node
  const copy = graph.insertBefore(anchor, {
    opType,
    domain,
    overload,
    opaque,
    name,
    inputs: node.inputs.map((input) => input && (values.get(input) ?? input)),
    outputs: node.outputs.map((output) => (output.name === '' ? '' : graph.freshName(output.name))),
  })
  for (const [key, value] of node.attributes) copy.setAttribute(key, copyAttribute(value, values))
  node.outputs.forEach((output, index) => {
    const made = copy.outputs[index] as Value
    made.type = output.type
    made.opaque = output.opaque
    values.set(output, made)
  })
}

function copyAttribute(value: Attribute, values: ReadonlyMap<Value, Value>): Attribute {
  if (value.kind === 'graph') return { ...value, value: cloneGraph(value.value, values) }
  if (value.kind === 'graphs') return { ...value, value: value.value.map((each) => cloneGraph(each, values)) }
  return value
}
