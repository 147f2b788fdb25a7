import type { Attribute } from './attribute.ts'
import { Graph, type Node, type Value } from './graph.ts'
import type { Model } from './model.ts'

/** A copy of a model that shares nothing mutable with it; tensors are shared, being immutable. */
export function cloneModel(model: Model): Model {
  return {
    ...model,
    opsetImports: new Map(model.opsetImports),
    metadataProps: new Map(model.metadataProps),
    graph: cloneGraph(model.graph),
    functions: model.functions.map((each) =>
      Object.assign({}, each, { graph: cloneGraph(each.graph), opsetImports: new Map(each.opsetImports) }),
    ),
  }
}

/**
 * A copy of a graph with its subgraphs. `copies` says what stands for values of graphs around it; one that is not
 * there is read as it is.
 */
export function cloneGraph(graph: Graph, copies: ReadonlyMap<Value, Value> = new Map()): Graph {
  const copy = new Graph(graph.name)
  copy.opaque = graph.opaque
  const values = new Map(copies)
  const remember = (from: Value, to: Value) => {
    to.opaque = from.opaque
    values.set(from, to)
  }
  for (const value of graph.inputs) remember(value, copy.addInput(value.name, declaredType(value)))
  for (const value of graph.initializers) {
    if (value.initializer !== undefined) remember(value, copy.addInitializer(value.name, value.initializer))
  }
  for (const value of graph.sparseInitializers) remember(value, copy.addSparseInitializer(value.name))
  const nodes = [...graph.nodes].map((node) => [node, cloneNode(node, copy, remember)] as const)
  for (const [node, cloned] of nodes) connect(node, cloned, values)
  for (const output of graph.outputs) copy.addOutput(values.get(output) ?? output)
  return copy
}

function declaredType(value: Value): Value['type'] {
  return value.initializer === undefined ? value.type : undefined
}

// Inputs and attributes come later: nodes may be in any order, and subgraphs may read any of them.
function cloneNode(node: Node, graph: Graph, remember: (from: Value, to: Value) => void): Node {
  const { opType, domain, name, overload, opaque } = node
  const outputs = node.outputs.map((output) => output.name)
  const copy = graph.addNode({ opType, domain, name, overload, opaque, inputs: [], outputs })
  copy.outputs.forEach((output, index) => {
    const from = node.outputs[index]
    if (from === undefined) return
    output.type = from.type
    remember(from, output)
  })
  return copy
}

function connect(node: Node, copy: Node, values: ReadonlyMap<Value, Value>): void {
  node.inputs.forEach((input, index) => copy.setInput(index, input && (values.get(input) ?? input)))
  for (const [name, value] of node.attributes) copy.setAttribute(name, cloneAttribute(value, values))
}

function cloneAttribute(value: Attribute, values: ReadonlyMap<Value, Value>): Attribute {
  if (value.kind === 'graph') return { ...value, value: cloneGraph(value.value, values) }
  if (value.kind === 'graphs') return { ...value, value: value.value.map((graph) => cloneGraph(graph, values)) }
  return value
}
