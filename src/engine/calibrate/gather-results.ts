import { attribute, type Attribute } from '../ir/attribute.ts'
import type { Graph, Node, Value } from '../ir/graph.ts'
import { tensorOf, type Tensor } from '../ir/tensor.ts'

/** How the results of several runs of a graph become one. */
type Reduction = 'ReduceMin' | 'ReduceMax' | 'ReduceSum'
type Merge = Reduction | 'concat'

/** A value of a graph that is wanted outside of it; of one element where the least or largest of several is it. */
export interface Result<T> {
  /** What it is, for whoever asked. */
  readonly id: T
  readonly value: Value
  readonly merge: Merge
  /** What stands for it where the graph does not run; merging it with others changes nothing. */
  readonly neutral: Tensor
  /** Whether it has the same dims in every run of the graph. */
  readonly isFixed: boolean
}

export interface Gathering<T> {
  /** Adds to a graph what makes its own results. */
  readonly observe: (graph: Graph) => readonly Result<T>[]
  /** Hears of results that can't leave the node around them. */
  readonly refuse: (id: T, reason: string) => void
}

/**
 * Brings results of a graph and everything inside it to the graph: from a branch of an If as one more output, for which
 * the other branch gives the neutral value, and from the body of a Loop or Scan as one more scan output, merged after it.
 */
export function gatherResults<T>(graph: Graph, gathering: Gathering<T>): Result<T>[] {
  const nodes = [...graph.nodes]
  return [...gathering.observe(graph), ...nodes.flatMap((node) => liftResults(node, gathering))]
}

interface Body<T> {
  readonly graph: Graph
  readonly results: readonly Result<T>[]
}

type Lift = <T>(node: Node, bodies: readonly Body<T>[], gathering: Gathering<T>) => Result<T>[]

/** Operators whose subgraphs' values can get out. */
const lifts: Readonly<Record<string, Lift>> = { If: liftFromBranches, Loop: liftFromBody, Scan: liftFromBody }

function liftResults<T>(node: Node, gathering: Gathering<T>): Result<T>[] {
  const bodies = [...node.attributes.values()].flatMap((each) =>
    each.kind === 'graph' ? [{ graph: each.value, results: gatherResults(each.value, gathering) }] : [],
  )
  const results = bodies.flatMap((body) => body.results)
  if (results.length === 0) return []
  const lift = node.domain === '' ? lifts[node.opType] : undefined
  if (lift !== undefined) return lift(node, bodies, gathering)
  for (const { id } of results) gathering.refuse(id, `it is inside a ${node.opType}, whose values can't be observed`)
  return []
}

function liftFromBranches<T>(node: Node, bodies: readonly Body<T>[]): Result<T>[] {
  const all = bodies.flatMap(({ results }) => results)
  for (const { graph, results } of bodies) {
    for (const each of all) graph.addOutput(results.includes(each) ? each.value : addConstant(graph, each.neutral))
  }
  const values = addOutputs(node, all.length)
  return all.map((each, index) =>
    Object.assign({}, each, { value: values[index] as Value, isFixed: each.merge !== 'concat' }),
  )
}

/** A scan output stacks what has the same dims in every iteration; what has not, stays inside. */
function liftFromBody<T>(node: Node, bodies: readonly Body<T>[], { refuse }: Gathering<T>): Result<T>[] {
  const all = bodies.flatMap(({ results }) => results)
  for (const { id, isFixed } of all) if (!isFixed) refuse(id, 'its dims may change between iterations')
  const fixed = all.filter(({ isFixed }) => isFixed)
  for (const { graph, results } of bodies) {
    for (const each of results) if (each.isFixed) graph.addOutput(each.value)
  }
  const values = addOutputs(node, fixed.length)
  return fixed.map((each, index) =>
    Object.assign({}, each, {
      value: mergeStack(values[index] as Value, each.merge),
      isFixed: each.merge !== 'concat',
    }),
  )
}

/** Results of all iterations, stacked on the first axis, as one. */
function mergeStack(stack: Value, merge: Merge): Value {
  const graph = stack.producer?.graph
  if (graph === undefined) return stack
  if (merge === 'concat') return addFlattened(graph, stack)
  return addReduction(graph, merge, stack, merge === 'ReduceSum' ? [0] : undefined)
}

/** All elements of a value in one axis. */
export function addFlattened(graph: Graph, value: Value): Value {
  const dims = addConstant(graph, tensorOf('int64', [1], BigInt64Array.of(-1n)))
  return outputOf(graph.addNode({ opType: 'Reshape', inputs: [value, dims] }))
}

/** A reduction over all axes, or over some: as an input, which ReduceSum has since opset 13. */
export function addReduction(graph: Graph, opType: Reduction, value: Value, axes?: readonly number[]): Value {
  const inputs = [value]
  if (axes !== undefined)
    inputs.push(addConstant(graph, tensorOf('int64', [axes.length], BigInt64Array.from(axes, BigInt))))
  return outputOf(graph.addNode({ opType, inputs, attributes: { keepdims: attribute.int(0) } }))
}

function addConstant(graph: Graph, tensor: Tensor): Value {
  return outputOf(graph.addNode({ opType: 'Constant', inputs: [], attributes: { value: attribute.tensor(tensor) } }))
}

/** Puts a node with more outputs in the place of one whose subgraphs have got them; gives the new outputs. */
function addOutputs(node: Node, count: number): readonly Value[] {
  const { graph, opType, domain, overload } = node
  if (graph === undefined || count === 0) return []
  const before = node.outputs.length
  const made = graph.insertBefore(node, {
    opType,
    domain,
    overload,
    inputs: node.inputs,
    outputs: before + count,
    attributes: Object.fromEntries([...node.attributes].map(([name, each]) => [name, extend(name, each, count)])),
  })
  for (const [index, output] of node.outputs.entries()) replaceOutput(graph, output, made.outputs[index] as Value)
  graph.removeNode(node)
  return made.outputs.slice(before)
}

function replaceOutput(graph: Graph, old: Value, replacement: Value): void {
  const { name } = old
  const hasName = name !== '' && !old.isGraphOutput
  graph.replaceAllUses(old, replacement)
  if (!hasName) return
  graph.renameValue(old, graph.freshName(`${name}_before`))
  graph.renameValue(replacement, name)
}

/** Attributes of Scan that have an entry for each scan output: 0 is the first axis, or forward. */
const perOutput = new Set(['scan_output_axes', 'scan_output_directions'])

function extend(name: string, value: Attribute, count: number): Attribute {
  if (!perOutput.has(name) || value.kind !== 'ints') return value
  return attribute.ints([...value.value, ...Array.from({ length: count }, () => 0)])
}

function outputOf(node: Node): Value {
  return node.outputs[0] as Value
}
