import { affineParams, asUnsigned, type AffineParams, type Range } from '../../calibrate/affine.ts'
import { HastenError } from '../../../errors.ts'
import { subgraphsOf } from '../../ir/attribute.ts'
import type { Graph, Node, Value } from '../../ir/graph.ts'
import { allNodes, importOpset, type Model } from '../../ir/model.ts'
import { topologicalOrder } from '../../ir/order.ts'
import { inferTypes } from '../../ops/index.ts'
import { removeDead } from '../../rewrite/dead.ts'
import { insertPair } from './insert-pair.ts'
import { insertWeights } from './insert-weights.ts'
import { keepsScale } from './follower-kinds.ts'
import { activationInputs, afterClamp, hasInt8Result, type Plan, type PlanOptions } from './plan.ts'
import { ownDomain, type Scheme } from './scheme.ts'

/**
 * Puts Q/DQ pairs around the nodes of a plan: int8 weights, int32 biases, one pair per activation.
 * @param quantizeWeights what becomes of the weights of a node
 */
export function insertQdq(
  model: Model,
  plan: Plan,
  planOptions: PlanOptions,
  ranges: ReadonlyMap<Value, Range>,
  scheme: Scheme,
  quantizeWeights: typeof insertWeights = insertWeights,
): void {
  const types = inferTypes(model)
  const { params, clamped } = chooseParams(model, plan, planOptions, ranges, scheme)
  for (const [after, before] of clamped) removeClamp(after, before)
  for (const linear of plan.anchors.values()) {
    const input = params.get(linear.node.inputs[0] as Value) as AffineParams
    quantizeWeights(model, linear, input, scheme)
  }
  const opset = model.opsetImports.get('') ?? 1
  for (const [value, each] of params) insertPair(value, { params: each, opset, types }, plan)
  importOwnDomain(model)
}

/** Imports the domain of the pairs that ONNX has none for, where there are such. */
export function importOwnDomain(model: Model): void {
  if ([...allNodes(model)].some(({ domain }) => domain === ownDomain)) importOpset(model, ownDomain, 1)
}

interface Activations {
  readonly params: ReadonlyMap<Value, AffineParams>
  /** Values after a clamp that quantization makes needless, with the value before it. */
  readonly clamped: ReadonlyMap<Value, Value>
}

/** Parameters of every activation of the plan. Inputs first, so that what only moves integers takes over its input's. */
function chooseParams(
  model: Model,
  plan: Plan,
  options: PlanOptions,
  ranges: ReadonlyMap<Value, Range>,
  scheme: Scheme,
): Activations {
  const params = new Map<Value, AffineParams>()
  const clamped = new Map<Value, Value>()
  const sourceOf = (value: Value) => clamped.get(value) ?? value
  for (const node of Iterator.from(orderWithin(model.graph)).filter(plan.isInt8)) {
    for (const value of activationInputs(node)) {
      const source = sourceOf(value)
      if (!params.has(source)) params.set(source, paramsOf(value, ranges, scheme))
    }
    if (!hasInt8Result(node, plan.isInt8, options)) continue
    const [input] = activationInputs(node)
    const kept = keepsScale(node) && input !== undefined ? params.get(sourceOf(input)) : undefined
    for (const output of node.outputs) {
      const last = afterClamp(output, options)
      if (last !== output) clamped.set(last, output)
      params.set(output, kept ?? paramsOf(last, ranges, scheme))
    }
  }
  return { params, clamped }
}

/** The nodes of a graph and its subgraphs, those of a subgraph before the node that holds it. */
function* orderWithin(graph: Graph): IterableIterator<Node> {
  for (const node of topologicalOrder(graph).order) {
    for (const subgraph of subgraphsOf(node)) yield* orderWithin(subgraph)
    yield node
  }
}

/** A probability reaches 1 sooner or later, whatever the calibration samples showed. */
const probability: Range = { min: 0, max: 1 }

function paramsOf(value: Value, ranges: ReadonlyMap<Value, Range>, { activations, unsigned }: Scheme): AffineParams {
  const range = value.producer?.opType === 'Softmax' ? probability : ranges.get(value)
  if (range === undefined) throw new HastenError('internal', `value '${value.name}' was not calibrated`)
  const params = affineParams(range, activations)
  return unsigned ? asUnsigned(params) : params
}

function removeClamp(after: Value, before: Value): void {
  const clamp = after.producer
  if (clamp?.graph === undefined) return
  clamp.graph.replaceAllUses(after, before)
  removeDead(clamp)
}
