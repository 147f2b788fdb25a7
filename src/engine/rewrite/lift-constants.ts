import type { Graph, Node } from '../ir/graph.ts'
import { graphsWithin, type Model } from '../ir/model.ts'
import { constantOf } from '../ops/index.ts'
import { openJournal, type Journal } from './journal.ts'

/**
 * Makes initializers of Constant nodes, keeping the names. Quantizers look for weights among the initializers only, so
 * every pass that reads weights does this first. A constant that is a graph output stays.
 */
export function liftConstants(model: Model, journal: Journal = openJournal()): void {
  for (const graph of graphsWithin(model.graph)) {
    for (const node of graph.nodes) {
      if (node.opType === 'Constant' && node.domain === '') liftConstant(graph, node, journal)
    }
  }
}

function liftConstant(graph: Graph, node: Node, journal: Journal): void {
  const [output] = node.outputs
  if (output === undefined) return
  const rewrite = { rule: 'lift-constant', at: output.name, op: 'Constant', exact: true }
  const tensor = constantOf(node)
  if (tensor === undefined) return journal.refuse(rewrite, 'it is sparse')
  if (output.isGraphOutput) return journal.refuse(rewrite, 'it is a graph output')
  if (!journal.admit(rewrite)) return
  const { name } = output
  const value = graph.addInitializer(graph.freshName(name), tensor)
  graph.replaceAllUses(output, value)
  graph.removeNode(node)
  graph.renameValue(value, name)
}
