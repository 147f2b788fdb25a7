import type { Graph, Use, Value } from '../../ir/graph.ts'

const repeated = new Set(['Loop', 'Scan'])

/**
 * Where a float value is quantized for its readers: in the innermost graph that is around all of them, so that a branch
 * which is not taken costs nothing, but before a loop rather than in each of its iterations.
 */
export function pairGraph(value: Value, readers: readonly Use[]): Graph | undefined {
  const [first, ...others] = readers.map(({ node }) => graphsAround(node.graph))
  let shared = first?.findLast((graph) => others.every((graphs) => graphs.includes(graph)))
  while (shared?.parent?.graph !== undefined && repeated.has(shared.parent.opType) && !isDefinedIn(value, shared)) {
    shared = shared.parent.graph
  }
  return shared
}

/** A graph and those around it, outermost first. */
function graphsAround(graph: Graph | undefined): Graph[] {
  return graph === undefined ? [] : [...graphsAround(graph.parent?.graph), graph]
}

function isDefinedIn(value: Value, graph: Graph): boolean {
  return value.producer?.graph === graph || graph.inputs.includes(value)
}
