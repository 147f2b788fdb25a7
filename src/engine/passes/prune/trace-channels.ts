import type { Node, Value } from '../../ir/graph.ts'
import { subgraphsOf } from '../../ir/attribute.ts'
import type { Model } from '../../ir/model.ts'
import { topologicalOrder, valuesRead } from '../../ir/order.ts'
import { constantValue, inferTypes, opDefinition } from '../../ops/index.ts'
import { createAtoms, type Atoms, type Lanes } from './atoms.ts'
import type { Cut, Patch, Walk } from './channels.ts'
import { elementwiseRule } from './rules/elementwise.ts'
import { channelRules } from './rules/index.ts'

/** Where the channels of a model's main graph go, and what shrinks with them. */
export interface ChannelTrace {
  readonly atoms: Atoms
  readonly cuts: readonly Cut[]
  readonly patches: readonly Patch[]
  /** The channel axes of values. */
  readonly lanes: ReadonlyMap<Value, ReadonlyMap<number, Lanes>>
}

export interface TraceOptions {
  readonly throughNorms: boolean
}

/**
 * Follows every output channel of a Conv, ConvTranspose, Gemm, MatMul or embedding through the main graph. What meets in
 * an addition is joined; what reaches an output, a subgraph, or an operator without a rule is frozen with the reason.
 */
export function traceChannels(model: Model, options: TraceOptions): ChannelTrace {
  const state = {
    atoms: createAtoms(),
    cuts: [] as Cut[],
    patches: [] as Patch[],
    lanes: new Map<Value, Map<number, Lanes>>(),
  }
  const walk = createWalk(model, options, state)
  for (const node of topologicalOrder(model.graph).order) visit(node, walk)
  for (const output of model.graph.outputs) freezeValue(walk, output, `it is seen in the output '${output.name}'`)
  joinSharedWeights(model, state.cuts, state.atoms)
  return state
}

type State = {
  readonly atoms: Atoms
  readonly cuts: Cut[]
  readonly patches: Patch[]
  readonly lanes: Map<Value, Map<number, Lanes>>
}

function createWalk(model: Model, { throughNorms }: TraceOptions, state: State): Walk {
  const types = inferTypes(model)
  const none: ReadonlyMap<number, Lanes> = new Map()
  const constantOf = (value: Value | undefined) =>
    value !== undefined && model.graph.initializers.has(value) ? constantValue(value) : undefined
  return {
    atoms: state.atoms,
    opset: model.opsetImports.get('') ?? 1,
    throughNorms,
    types,
    constantOf,
    lanesOf: (value) => (value === undefined ? none : (state.lanes.get(value) ?? none)),
    dimsOf: (value) => types.of(value)?.dims ?? undefined,
    setLanes(value, axis, lanes) {
      if (value === undefined) return
      const axes = state.lanes.get(value) ?? new Map<number, Lanes>()
      state.lanes.set(value, axes.set(axis, lanes))
    },
    cut(node, input, axis, lanes, role) {
      const value = node.inputs[input]
      const tensor = constantOf(value)
      if (value !== undefined && tensor !== undefined)
        state.cuts.push({ node, input, value, tensor, axis, lanes, role })
    },
    patch: (patch) => state.patches.push(patch),
  }
}

function visit(node: Node, walk: Walk): void {
  const isPlain = subgraphsOf(node).length === 0
  const rule = isPlain ? channelRules[node.domain]?.[node.opType] : undefined
  const general = isPlain && opDefinition(node)?.elementwise === true ? elementwiseRule : undefined
  const reason = (rule ?? general ?? unknownRule)(node, walk)
  if (reason === undefined) return
  for (const value of valuesRead(node)) freezeValue(walk, value, `${node.opType} '${node.name}': ${reason}`)
}

const unknownRule = () => 'nothing is known of what it does with channels'

function freezeValue(walk: Walk, value: Value, reason: string): void {
  for (const lanes of walk.lanesOf(value).values()) walk.atoms.freeze(lanes, reason)
}

/** A weight that several nodes read stays one weight: all cut it alike, or nobody does. */
function joinSharedWeights(model: Model, cuts: readonly Cut[], atoms: Atoms): void {
  for (const [value, all] of Map.groupBy(cuts, (cut) => cut.value)) {
    if (value.uses.size < 2) continue
    for (const { axis, lanes } of all) {
      const alike = all.filter((other) => other.axis === axis)
      for (const other of alike) atoms.joinAll(lanes, other.lanes)
      const readers = new Set(alike.map(({ node, input }) => `${input}:${node.outputs[0]?.name ?? ''}`))
      if (readers.size < value.uses.size && lanes.length > 1 && holdsWeights(model, value))
        atoms.freeze(lanes, `'${value.name}' is read elsewhere too, where this axis stays`)
    }
  }
}

/** Scalars and short vectors of numbers may be copied; only a matrix is a weight worth keeping whole. */
function holdsWeights(model: Model, value: Value): boolean {
  return model.graph.initializers.has(value) && (value.initializer?.dims.length ?? 0) > 1
}
