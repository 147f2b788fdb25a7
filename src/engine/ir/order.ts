import { subgraphsOf } from './attribute.ts'
import type { Graph, Node, Value } from './graph.ts'

/**
 * The nodes of a graph so that each comes after what it reads, otherwise in list order: a graph that is in order
 * already stays as it is. What the subgraphs of a node read counts as read by the node.
 * @returns the order, or when there is one, the nodes of a cycle.
 */
export function topologicalOrder(graph: Graph): { readonly order: Node[]; readonly cycle: Node[] } {
  const order: Node[] = []
  const state = new Map<Node, 'open' | 'done'>()
  for (const root of graph.nodes) {
    // An explicit stack: real graphs are thousands of nodes deep.
    const path = state.has(root) ? [] : [openNode(root, graph, state)]
    for (let top = path.at(-1); top !== undefined; top = path.at(-1)) {
      const { value: next } = top.pending.next()
      if (next === undefined) {
        path.pop()
        state.set(top.node, 'done')
        order.push(top.node)
      } else if (state.get(next) === 'open') {
        const nodes = path.map((entry) => entry.node)
        return { order, cycle: nodes.slice(nodes.indexOf(next)) }
      } else if (!state.has(next)) path.push(openNode(next, graph, state))
    }
  }
  return { order, cycle: [] }
}

interface PathEntry {
  readonly node: Node
  readonly pending: Iterator<Node>
}

function openNode(node: Node, graph: Graph, state: Map<Node, 'open' | 'done'>): PathEntry {
  state.set(node, 'open')
  return { node, pending: producersRead(node, graph).values() }
}

/** The nodes of `graph` whose outputs a node reads, itself or through its subgraphs. */
function producersRead(node: Node, graph: Graph): Set<Node> {
  const producers = new Set<Node>()
  for (const value of valuesRead(node)) {
    if (value.producer?.graph === graph) producers.add(value.producer)
  }
  return producers
}

/** Every value a node reads: its inputs, and what the nodes and outputs of its subgraphs read. */
export function* valuesRead(node: Node): IterableIterator<Value> {
  yield* node.inputs.filter((input) => input !== undefined)
  for (const subgraph of subgraphsOf(node)) {
    yield* subgraph.outputs
    for (const inner of subgraph.nodes) yield* valuesRead(inner)
  }
}
