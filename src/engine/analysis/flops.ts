import { subgraphsOf } from '../ir/attribute.ts'
import type { Graph, Node } from '../ir/graph.ts'
import type { Model } from '../ir/model.ts'
import type { InferredTypes } from '../ops/infer.ts'
import { opDefinition } from '../ops/registry.ts'

/**
 * Two per multiply-accumulate of one run, dynamic dims counted as 1. Of the branches of an If the costlier counts.
 * @returns undefined where a shape, or how often a loop goes round, is unknown
 */
export function countFlops(model: Model, types: InferredTypes): number | undefined {
  const functions = new Map(model.functions.map((each) => [`${each.domain}:${each.name}`, each.graph]))
  const macs = graphMacs(model.graph, { functions, types, known: new Map() })
  return macs === undefined ? undefined : 2 * macs
}

/** Multiply-accumulates of one node: 0 for operators that have none to speak of, undefined where a shape is unknown. */
export function macsOf(node: Node, types: InferredTypes): number | undefined {
  const rule = opDefinition(node)?.macs
  return rule === undefined ? 0 : rule(types.context(node), types.of(node.outputs[0]))
}

interface Count {
  readonly functions: ReadonlyMap<string, Graph>
  readonly types: InferredTypes
  /** Of graphs counted before: a function may be called often. */
  readonly known: Map<Graph, number | undefined>
}

function graphMacs(graph: Graph, count: Count): number | undefined {
  if (count.known.has(graph)) return count.known.get(graph)
  count.known.set(graph, undefined)
  let sum: number | undefined = 0
  for (const node of graph.nodes) sum = plus(sum, plus(macsOf(node, count.types), innerMacs(node, count)))
  count.known.set(graph, sum)
  return sum
}

function plus(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined || b === undefined ? undefined : a + b
}

/** What runs inside a node: the function it calls, or its subgraphs. */
function innerMacs(node: Node, count: Count): number | undefined {
  const called = count.functions.get(`${node.domain}:${node.opType}`)
  if (called !== undefined) return graphMacs(called, count)
  const inner = subgraphsOf(node).map((graph) => graphMacs(graph, count))
  if (inner.every((macs) => macs === 0)) return 0
  const known = inner.filter((macs) => macs !== undefined)
  const isOneOf = opDefinition(node)?.subgraphs === 'one-of'
  return isOneOf && known.length === inner.length ? Math.max(...known) : undefined
}
