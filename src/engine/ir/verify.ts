import { subgraphsOf } from './attribute.ts'
import type { Graph, Node, Value } from './graph.ts'
import type { Model } from './model.ts'
import { topologicalOrder } from './order.ts'

/** Something that is wrong with a model: which check found it, in which graph, and what. */
export interface Violation {
  readonly check: string
  readonly graph: string
  readonly detail: string
}

/** A graph to check and what surrounds it. */
export interface CheckedGraph {
  readonly model: Model
  readonly graph: Graph
  /** Versions of the operator sets it may use: the model's, or the function's whose body it is. */
  readonly opsets: ReadonlyMap<string, number>
  /** Values of this graph and of the graphs around it. */
  readonly visible: ReadonlySet<Value>
  /** 0 for the main graph of the model and the bodies of functions. */
  readonly depth: number
}

/** Yields one sentence for each violation. */
export type GraphCheck = (checked: CheckedGraph) => Iterable<string>

/** What must hold of any graph, whatever its operators are. */
export const structuralChecks = {
  'unique-names': uniqueNames,
  'no-dangling-inputs': noDanglingInputs,
  'use-def-chains': useDefChains,
  acyclic,
  'outputs-defined': outputsDefined,
} satisfies Record<string, GraphCheck>

/** Runs checks on every graph of a model, subgraphs and function bodies included. */
export function runChecks(model: Model, checks: Readonly<Record<string, GraphCheck>>): Violation[] {
  const violations: Violation[] = []
  for (const checked of checkedGraphs(model)) {
    for (const [check, run] of Object.entries(checks)) {
      for (const detail of run(checked)) violations.push({ check, graph: checked.graph.name, detail })
    }
  }
  return violations
}

function* checkedGraphs(model: Model): Iterable<CheckedGraph> {
  yield* within(model, model.graph, model.opsetImports, new Set(), 0)
  for (const each of model.functions) yield* within(model, each.graph, each.opsetImports, new Set(), 0)
}

function* within(
  model: Model,
  graph: Graph,
  opsets: ReadonlyMap<string, number>,
  outer: ReadonlySet<Value>,
  depth: number,
): Iterable<CheckedGraph> {
  const visible = new Set([...outer, ...definedIn(graph)])
  yield { model, graph, opsets, visible, depth }
  for (const node of graph.nodes) {
    for (const subgraph of subgraphsOf(node)) yield* within(model, subgraph, opsets, visible, depth + 1)
  }
}

function definedIn(graph: Graph): Value[] {
  const outputs = [...graph.nodes].flatMap((node) => node.outputs)
  return [...new Set([...graph.inputs, ...graph.initializers, ...graph.sparseInitializers, ...outputs])]
}

function* uniqueNames({ graph }: CheckedGraph): Iterable<string> {
  const seen = new Set<string>()
  for (const { name, producer } of definedIn(graph)) {
    if (name === '' && producer !== undefined) continue
    if (name === '') yield 'an input or initializer has no name'
    if (seen.has(name)) yield `the name '${name}' is defined twice`
    seen.add(name)
  }
}

function* noDanglingInputs({ graph, visible }: CheckedGraph): Iterable<string> {
  for (const node of graph.nodes) {
    for (const [index, input] of node.inputs.entries()) {
      if (input === undefined || visible.has(input)) continue
      yield `input ${index} of ${describe(node)} is '${input.name}', which nothing gives`
    }
  }
}

function* useDefChains({ graph }: CheckedGraph): Iterable<string> {
  for (const value of definedIn(graph)) {
    for (const { node, index } of value.uses) {
      if (node.inputs[index] !== value) yield `'${value.name}' counts ${describe(node)} as a reader, which it is not`
      if (node.graph === undefined) yield `'${value.name}' is read by ${describe(node)}, which was removed`
    }
  }
}

function* acyclic({ graph }: CheckedGraph): Iterable<string> {
  const { cycle } = topologicalOrder(graph)
  if (cycle.length > 0) yield `the nodes ${cycle.map((node) => `'${node.name}'`).join(' → ')} form a cycle`
}

function* outputsDefined({ graph, visible }: CheckedGraph): Iterable<string> {
  for (const output of graph.outputs) {
    if (!visible.has(output)) yield `the output '${output.name}' is given by nothing`
  }
}

/** A node as errors name it. */
export function describe(node: Node): string {
  return `${node.opType} node '${node.name}'`
}
