import type { Graph, Node, Value } from '../ir/graph.ts'
import { subgraphsOf } from '../ir/attribute.ts'
import type { Model } from '../ir/model.ts'
import { topologicalOrder } from '../ir/order.ts'
import type { Tensor } from '../ir/tensor.ts'
import type { Dim, ValueType } from '../ir/value-type.ts'
import { constantValue } from './constants.ts'
import type { TypeContext } from './definition.ts'
import { opDefinition } from './registry.ts'
import { integersOf } from './rules/creation.ts'

/** What inference found: the type of each value it could tell, in the main graph and in subgraphs. */
export interface InferredTypes {
  /** The inferred type, else the declared one. */
  of(value: Value | undefined): ValueType | undefined
  /** The context that rules see of a node, for analyses that need more than types. */
  context(node: Node): TypeContext
}

/**
 * Infers dtypes and dims along a model without changing it. Symbolic dims stay; what no rule can tell is unknown,
 * never guessed. A declared type fills in what a rule leaves open.
 */
export function inferTypes(model: Model): InferredTypes {
  const state: State = { opset: model.opsetImports.get('') ?? 1, types: new Map(), elements: new Map() }
  inferGraph(model.graph, state)
  return { of: (value) => typeOf(value, state), context: (node) => contextOf(node, state) }
}

interface State {
  readonly opset: number
  readonly types: Map<Value, ValueType>
  /** What is known of the elements of small integer tensors. */
  readonly elements: Map<Value, readonly Dim[]>
}

function inferGraph(graph: Graph, state: State): void {
  for (const node of topologicalOrder(graph).order) {
    // Branches see outer values by name; the bodies of loops have inputs, of types that their nodes' inputs decide.
    const given = opDefinition(node)?.bodyInputs?.(contextOf(node, state)) ?? []
    for (const subgraph of subgraphsOf(node)) {
      subgraph.inputs.forEach((input, index) => setType(input, given[index], state))
      inferGraph(subgraph, state)
    }
    inferNode(node, state)
  }
}

function inferNode(node: Node, state: State): void {
  const definition = opDefinition(node)
  const context = contextOf(node, state)
  const types = definition?.types?.(context) ?? []
  node.outputs.forEach((output, index) => {
    setType(output, types[index], state)
  })
  const elements = definition?.elements?.(context)
  const [first] = node.outputs
  if (elements !== undefined && first !== undefined && elements.length <= maxElements)
    state.elements.set(first, elements)
}

function setType(value: Value, inferred: ValueType | undefined, state: State): void {
  const type = merge(withPossibleDims(inferred), value.type)
  if (type !== undefined) state.types.set(value, type)
}

// Shapes are short; anything longer is data.
const maxElements = 64

// A branch that never runs may compute sizes that can't be, and what was read of a file may be anything.
function withPossibleDims(type: ValueType | undefined): ValueType | undefined {
  const isPossible = (dim: Dim) => typeof dim !== 'number' || (Number.isInteger(dim) && dim >= 0)
  if (type?.dims == null || type.dims.every(isPossible)) return type
  return { dtype: type.dtype, dims: type.dims.map((dim) => (isPossible(dim) ? dim : null)) }
}

/** What a rule found wins; where it found nothing the declaration stands. */
function merge(inferred: ValueType | undefined, declared: ValueType | undefined): ValueType | undefined {
  if (inferred === undefined || declared === undefined) return inferred ?? declared
  if (inferred.dims === null) return { dtype: inferred.dtype, dims: declared.dims }
  if (declared.dims?.length !== inferred.dims.length) return inferred
  return { dtype: inferred.dtype, dims: inferred.dims.map((dim, axis) => dim ?? declared.dims?.[axis] ?? null) }
}

function typeOf(value: Value | undefined, state: State): ValueType | undefined {
  return value === undefined ? undefined : (state.types.get(value) ?? value.type)
}

function contextOf(node: Node, state: State): TypeContext {
  return {
    node,
    opset: state.opset,
    of: (value) => typeOf(value, state),
    input: (index) => typeOf(node.inputs[index], state),
    constant: (index) => constantValue(node.inputs[index]),
    elements: (index) => elementsOf(node.inputs[index], state),
  }
}

function elementsOf(value: Value | undefined, state: State): readonly Dim[] | undefined {
  if (value === undefined) return undefined
  const tensor: Tensor | undefined = value.isGraphInput ? undefined : value.initializer
  return state.elements.get(value) ?? (tensor === undefined ? undefined : integersOf(tensor))
}
