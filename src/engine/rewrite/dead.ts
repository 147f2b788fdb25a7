import { subgraphsOf } from '../ir/attribute.ts'
import type { Graph, Node, Value } from '../ir/graph.ts'
import { graphsWithin, type Model } from '../ir/model.ts'
import { valuesRead } from '../ir/order.ts'

function isDead(value: Value): boolean {
  return value.uses.size === 0 && !value.isGraphOutput
}

/** Removes a node whose outputs nobody reads, then the producers that only it read. Returns what was removed. */
export function removeDead(node: Node): Node[] {
  const removed: Node[] = []
  const pending = [node]
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    if (next.graph === undefined || !next.outputs.every(isDead)) continue
    const producers = readProducers(next)
    next.graph.removeNode(next)
    removed.push(next)
    pending.push(...producers)
  }
  return removed
}

function readProducers(node: Node): Node[] {
  return [...valuesRead(node)].flatMap((value) => value.producer ?? [])
}

/** Removes every node that no graph output depends on, in subgraphs too. Returns what was removed. */
export function removeDeadNodes(graph: Graph): Node[] {
  const removed = [...graph.nodes].toReversed().flatMap((node) => removeDead(node))
  const inner = [...graph.nodes].flatMap((node) => subgraphsOf(node).flatMap(removeDeadNodes))
  return [...removed, ...inner]
}

/** Removes initializers that nobody reads and that are no graph input. Returns their names. */
export function removeUnusedInitializers(model: Model): string[] {
  const names: string[] = []
  for (const graph of graphsWithin(model.graph)) {
    for (const value of graph.initializers) {
      if (!isDead(value) || graph.inputs.includes(value)) continue
      graph.removeInitializer(value)
      names.push(value.name)
    }
  }
  return names
}
