import type { Range } from '../../calibrate/affine.ts'
import { collectRanges, type UseSession } from '../../calibrate/collect-ranges.ts'
import { nameValues } from '../../calibrate/observe.ts'
import { HastenError } from '../../../errors.ts'
import type { Dataset } from '../../data/index.ts'
import type { Node, Value } from '../../ir/graph.ts'
import type { Model } from '../../ir/model.ts'
import { inferTypes } from '../../ops/index.ts'
import type { SessionOptions } from '../../runtime/options.ts'
import type { Note, PassContext, PassOptions } from '../pass.ts'
import { withSession } from '../run-model.ts'
import { headNodes } from './head-nodes.ts'
import { biasedProducts, joinProduct } from './join-products.ts'
import { observedValues, planQuantization, type Plan, type PlanOptions } from './plan.ts'
import { prepareModel } from './prepare.ts'
import type { Scheme } from './scheme.ts'

type Options = PassOptions<'quantize.static'>

/** Ranges don't depend on the last bits, so calibration runs as fast as the runtime can. */
function calibrationSession({ target }: PassContext): SessionOptions {
  return target.threads === undefined ? {} : { intraOpThreads: target.threads }
}

export function sessionsOf(context: PassContext): UseSession {
  return (model, use) => withSession(context, model, calibrationSession(context), use)
}

export function calibrationData({ calibration }: PassContext): Dataset {
  if (calibration !== undefined) return calibration
  throw new HastenError(
    'dataset_needed',
    'quantize.static chooses ranges from a calibration dataset, and there is none',
  )
}

/** Nodes that run in int8, and the ranges of the values that they read and give. */
export interface CalibratedPlan {
  readonly plan: Plan
  readonly planOptions: PlanOptions
  readonly ranges: ReadonlyMap<Value, Range>
  /** Samples that were run. */
  readonly samples: number
  readonly notes: readonly Note[]
}

/**
 * Chooses the nodes that run in int8, prepares the model for that as the options ask, and finds the ranges.
 * @throws HastenError `dataset_needed`, `dataset_mismatch`, `dataset_invalid`, `run_failed`, `run_canceled`
 */
export async function calibratePlan(
  model: Model,
  options: Options,
  scheme: Scheme,
  context: PassContext,
): Promise<CalibratedPlan> {
  const dataset = calibrationData(context)
  const { base, plan: outline, notes: joined } = outlineModel(model, options, scheme)
  if (outline.anchors.size === 0) {
    const planOptions = { ...base, refusedValue: () => undefined }
    return { plan: outline, planOptions, ranges: new Map(), samples: 0, notes: [] }
  }
  const { signal } = context
  const isAnchor = (node: Node) => outline.anchors.has(node)
  const prepared = await prepareModel(model, options, { isAnchor, dataset, signal, useSession: sessionsOf(context) })
  const observed = observedValues(model, base)
  const { ranges, reasons, samples } = await rangesOf(model, observed, options, scheme, context)
  const refusedValue = (value: Value) =>
    ranges.has(value) ? undefined : `value '${value.name}' can't be quantized: ${reasons.get(value)}`
  const planOptions: PlanOptions = { ...base, refusedValue }
  return {
    plan: planQuantization(model, planOptions),
    planOptions,
    ranges,
    samples,
    notes: [...joined, ...prepared],
  }
}

type Base = Omit<PlanOptions, 'refusedValue'>

interface Outline {
  readonly base: Base
  /** As if every value had a range. */
  readonly plan: Plan
  readonly notes: readonly Note[]
}

/** What may run in int8, once products and the Adds after them are in a form that the runtime takes. */
function outlineModel(model: Model, options: Options, scheme: Scheme): Outline {
  const outline = () => {
    const base: Base = {
      ops: options.ops,
      exclude: options.exclude,
      kept: headNodes(model, options.keepHeads),
      absorbsClamps: !scheme.activations.symmetric,
    }
    return { base, plan: planQuantization(model, { ...base, refusedValue: () => undefined }), notes: [] }
  }
  const first = outline()
  const pairs = biasedProducts(first.plan.anchors.keys(), inferTypes(model))
  if (pairs.length === 0) return first
  if (!options.ops.includes('Gemm')) return leaveProducts(model, first, pairs)
  for (const pair of pairs) joinProduct(pair, options.exclude)
  const reason = `${pairs.length} products with an Add after them became Gemms, the form that runs in int8`
  return { ...outline(), notes: [{ action: 'info', reason }] }
}

/** Where Gemms may not run in int8, neither may what the runtime makes one of. */
function leaveProducts(model: Model, { base }: Outline, pairs: readonly { readonly product: Node }[]): Outline {
  const reason = 'ONNX Runtime makes a Gemm of it and the Add after it, and ops has no Gemm'
  const kept = new Map([...base.kept, ...pairs.map(({ product }) => [product, reason] as const)])
  const left = { ...base, kept }
  return { base: left, plan: planQuantization(model, { ...left, refusedValue: () => undefined }), notes: [] }
}

/** Ranges by value, and why the others have none. */
async function rangesOf(
  model: Model,
  observed: readonly Value[],
  { calibration }: Options,
  { activations: affine }: Scheme,
  context: PassContext,
) {
  const { signal, progress, observations: store } = context
  const names = nameValues(model)
  const wanted = observed.flatMap((value) => names.get(value) ?? [])
  const runs = { ...calibration, affine, signal, progress, store }
  const found = await collectRanges(model, wanted, calibrationData(context), runs, sessionsOf(context))
  const ranges = new Map<Value, Range>()
  const reasons = new Map<Value, string>()
  for (const value of observed) {
    const name = names.get(value) ?? ''
    const range = found.ranges.get(name)
    if (range !== undefined) ranges.set(value, range)
    else reasons.set(value, found.refused.get(name) ?? 'no sample of the calibration data gave it a value')
  }
  return { ranges, reasons, samples: found.samples }
}
