import { cloneModel } from '../ir/clone.ts'
import type { Graph, Value } from '../ir/graph.ts'
import { graphsOf } from '../ir/attribute.ts'
import type { Model } from '../ir/model.ts'
import { tensorOf } from '../ir/tensor.ts'
import { inferTypes, type InferredTypes } from '../ops/index.ts'
import { addFlattened, addReduction, gatherResults, type Gathering, type Result } from './gather-results.ts'

/** A value and the outputs that tell its smallest and largest element, and whether one is NaN. */
export interface Observed {
  readonly name: string
  readonly low: string
  readonly high: string
  /** Undefined where `values` are at hand anyway: they are looked at one by one. */
  readonly sum: string | undefined
  /** The output, or the input of the model, that gives all of its elements; undefined where nothing can. */
  readonly values: string | undefined
}

interface Observation {
  readonly model: Model
  readonly observed: readonly Observed[]
  /** Why a value can't be observed. */
  readonly refused: ReadonlyMap<string, string>
}

/**
 * A name for every value of a model: of the main graph its own, inside a subgraph that with the node and attribute
 * around it, since branches of an If may use the same names. A copy of the model has the same ones.
 */
export function nameValues({ graph }: Model): ReadonlyMap<Value, string> {
  const names = new Map<Value, string>()
  nameWithin(graph, '', names)
  return names
}

function nameWithin(graph: Graph, prefix: string, names: Map<Value, string>): void {
  for (const value of graph.inputs) names.set(value, prefix + value.name)
  for (const node of graph.nodes) {
    for (const value of node.outputs) if (value.name !== '') names.set(value, prefix + value.name)
    const owner = node.outputs.find(({ name }) => name !== '')?.name ?? node.name
    for (const [key, attribute] of node.attributes) {
      graphsOf(attribute).forEach((each, index) => {
        nameWithin(each, `${prefix}${owner}.${key}${index === 0 ? '' : index}/`, names)
      })
    }
  }
}

/**
 * A copy of a model that also gives the extremes of some values, and the values themselves if wanted. ONNX Runtime's
 * ReduceMin and ReduceMax may drop a NaN (1.30 does, unless it comes first), so their sum is there as well, which keeps
 * it, where nobody sees the values themselves.
 * @param names as `nameValues` gives them
 */
export function observeValues(
  original: Model,
  names: readonly string[],
  { whole }: { readonly whole: boolean },
): Observation {
  const model = cloneModel(original)
  const wanted = new Set(names)
  const refused = new Map<string, string>()
  const request: Request = {
    main: model.graph,
    names: new Map([...nameValues(model)].filter(([, name]) => wanted.has(name))),
    types: inferTypes(model),
    whole,
    refused,
  }
  const results = gatherResults(model.graph, gatheringOf(request))
  for (const { value } of results) model.graph.addOutput(value)
  const known = whole ? giveValues(model.graph, wanted) : new Set<string>()
  return { model, observed: listObserved(results, known), refused }
}

/** Makes outputs of values of the main graph; its inputs are at hand. */
function giveValues(main: Graph, wanted: ReadonlySet<string>): Set<string> {
  const produced = [...main.nodes].flatMap((node) => node.outputs)
  const given = [...main.inputs, ...produced].filter(({ name }) => wanted.has(name))
  for (const value of given) if (value.producer !== undefined && !value.isGraphOutput) main.addOutput(value)
  return new Set(given.map(({ name }) => name))
}

type Part = Exclude<keyof Observed, 'name'>

interface Id {
  readonly name: string
  readonly part: Part
}

interface Request {
  readonly main: Graph
  /** Of the values that are wanted. */
  readonly names: ReadonlyMap<Value, string>
  readonly types: InferredTypes
  readonly whole: boolean
  readonly refused: Map<string, string>
}

function gatheringOf(request: Request): Gathering<Id> {
  return {
    observe: (graph) => observeGraph(graph, request),
    // Without its elements a value still has its extremes.
    refuse: ({ name, part }, reason) => part !== 'values' && request.refused.set(name, reason),
  }
}

function observeGraph(graph: Graph, request: Request): Result<Id>[] {
  const produced = [...graph.nodes].flatMap((node) => node.outputs)
  return [...graph.inputs, ...produced].flatMap((value) => {
    const name = request.names.get(value)
    return name === undefined ? [] : observeValue(graph, value, name, request)
  })
}

function observeValue(graph: Graph, value: Value, name: string, request: Request): Result<Id>[] {
  const { main, types, whole, refused } = request
  const isInner = graph !== main
  const type = types.of(value)
  // In the main graph the run says what it is. Both branches of an If, however, must give the same type.
  if (isInner && type?.dtype !== 'float32') {
    refused.set(name, `it is ${type?.dtype ?? 'of unknown type'}, not float32`)
    return []
  }
  const reduce = (part: Part, merge: 'ReduceMin' | 'ReduceMax' | 'ReduceSum', neutral: number): Result<Id> => ({
    id: { name, part },
    value: addReduction(graph, merge, value),
    merge,
    neutral: tensorOf('float32', [], Float32Array.of(neutral)),
    isFixed: true,
  })
  const extremes = [
    reduce('low', 'ReduceMin', Number.POSITIVE_INFINITY),
    reduce('high', 'ReduceMax', Number.NEGATIVE_INFINITY),
  ]
  if (whole && !isInner) return extremes
  const scalars = [...extremes, reduce('sum', 'ReduceSum', 0)]
  if (!whole) return scalars
  const values: Result<Id> = {
    id: { name, part: 'values' },
    value: addFlattened(graph, value),
    merge: 'concat',
    neutral: tensorOf('float32', [0], new Float32Array()),
    isFixed: type?.dims?.every((dim) => dim !== null) ?? false,
  }
  return [...scalars, values]
}

function listObserved(results: readonly Result<Id>[], given: ReadonlySet<string>): Observed[] {
  const parts = new Map<string, Partial<Record<Part, string>>>()
  for (const { id, value } of results) parts.set(id.name, { ...parts.get(id.name), [id.part]: value.name })
  return [...parts].flatMap(([name, { low, high, sum, values }]) =>
    low === undefined || high === undefined ? [] : [{ name, low, high, sum, values: given.has(name) ? name : values }],
  )
}
