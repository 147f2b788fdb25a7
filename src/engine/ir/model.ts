import { subgraphsOf, type Attribute } from './attribute.ts'
import { Graph, type Node } from './graph.ts'

/** A model-local function: a graph whose inputs have no types and whose nodes may refer to its attributes. */
export interface ModelFunction {
  readonly domain: string
  readonly name: string
  readonly overload: string
  readonly graph: Graph
  /** Names of the attributes that a call may give. */
  readonly attributes: readonly string[]
  /** Attributes that have a value when a call does not give one. */
  readonly defaults: ReadonlyMap<string, Attribute>
  readonly opsetImports: Map<string, number>
  readonly opaque?: unknown
}

/** An ONNX model. */
export interface Model {
  irVersion: number
  /** Operator set version by domain; '' is ai.onnx. */
  readonly opsetImports: Map<string, number>
  producerName: string
  producerVersion: string
  readonly graph: Graph
  readonly functions: ModelFunction[]
  readonly metadataProps: Map<string, string>
  /** What the codec must write back and the IR does not model. */
  opaque?: unknown
}

export interface ModelInit {
  /** 10 by default: what ONNX Runtime since 1.18 reads. */
  readonly irVersion?: number
  /** Version of ai.onnx, 17 by default. */
  readonly opset?: number
  readonly name?: string
}

/** An empty model to build on. */
export function createModel(init: ModelInit = {}): Model {
  return {
    irVersion: init.irVersion ?? 10,
    opsetImports: new Map([['', init.opset ?? 17]]),
    producerName: 'hasten',
    producerVersion: '',
    graph: new Graph(init.name ?? 'main'),
    functions: [],
    metadataProps: new Map(),
  }
}

/** A graph and every subgraph inside it, outermost first. */
export function* graphsWithin(graph: Graph): IterableIterator<Graph> {
  yield graph
  for (const node of graph.nodes) {
    for (const subgraph of subgraphsOf(node)) yield* graphsWithin(subgraph)
  }
}

/** Every graph of a model: the main one, subgraphs, function bodies. */
export function* allGraphs(model: Model): IterableIterator<Graph> {
  yield* graphsWithin(model.graph)
  for (const each of model.functions) yield* graphsWithin(each.graph)
}

/** Every node of a model, those of subgraphs and functions included. */
export function* allNodes(model: Model): IterableIterator<Node> {
  for (const graph of allGraphs(model)) yield* graph.nodes
}

/** Declares that a domain is used, if it is not yet. */
export function importOpset(model: Model, domain: string, version: number): void {
  if (!model.opsetImports.has(domain)) model.opsetImports.set(domain, version)
}
