import { HastenError } from '../../errors.ts'
import type { Range } from '../calibrate/affine.ts'
import { collectRanges, type UseSession } from '../calibrate/collect-ranges.ts'
import { nameValues } from '../calibrate/observe.ts'
import type { Dataset } from '../data/index.ts'
import type { Node, Value } from '../ir/graph.ts'
import type { Model } from '../ir/model.ts'
import { removeDeadNodes, removeUnusedInitializers } from '../rewrite/dead.ts'
import type { SessionOptions } from '../runtime/options.ts'
import { int8Warnings } from './int8-target.ts'
import { upgradeOpset } from '../rewrite/opset/upgrade.ts'
import { definePass, type Note, type PassContext, type PassOptions, type PassResult } from './pass.ts'
import { insertQdq } from './quantize/insert-qdq.ts'
import { correctBiases, type Correction } from './quantize/correct-bias.ts'
import { prepareModel } from './quantize/prepare.ts'
import { headNodes } from './quantize/head-nodes.ts'
import { observedValues, planQuantization, type Plan, type PlanOptions } from './quantize/plan.ts'
import { declineModel, describeScheme, resolveScheme, schemeWarnings, type Scheme } from './quantize/scheme.ts'
import { withSession } from './run-model.ts'
import { liftConstants } from '../rewrite/lift-constants.ts'
import { cloneModel } from '../ir/clone.ts'

type Options = PassOptions<'quantize.static'>

/** int8 by Q/DQ pairs with ranges from a calibration dataset, in the forms ONNX Runtime has int8 kernels for. */
export const quantizeStaticPass = definePass({
  name: 'quantize.static',
  stage: 'calibrate',
  version: 8,
  async run(original, options, context) {
    const model = cloneModel(original)
    liftConstants(model)
    const declined = upgradeOpset(model)
    const scheme = resolveScheme(options, context.target)
    const reason = declined ?? declineModel(scheme, model.opsetImports.get('') ?? 1)
    if (reason !== undefined) return unchanged(original, [{ action: 'skipped', reason }])
    const calibrated = await calibratePlan(model, options, scheme, context)
    if (calibrated.plan.anchors.size === 0) return unchanged(original, calibrated.plan.notes)
    return { stage: 'optimize', run: () => quantizeModel(model, calibrated, options, context) }
  },
})

type PlanFound = Awaited<ReturnType<typeof calibratePlan>>

async function quantizeModel(
  model: Model,
  { plan, planOptions, calibration, prepared }: PlanFound,
  options: Options,
  context: PassContext,
): Promise<PassResult> {
  const { target, signal } = context
  const scheme = resolveScheme(options, target)
  insertQdq(model, plan, planOptions, calibration.ranges, scheme)
  removeDeadNodes(model.graph)
  removeUnusedInitializers(model)
  const notes = [...prepared, ...describePlan(plan, scheme), ...plan.notes]
  if (options.correctBias) {
    const runs = { ...options.calibration, signal }
    const layers = [...plan.anchors.values()]
    const correction = await correctBiases(model, layers, calibrationData(context), runs, sessionsOf(context))
    notes.push({ action: 'info', reason: describeCorrection(correction) })
  }
  notes.push(calibrationNote(options, calibration.samples))
  return {
    model,
    modified: true,
    notes,
    warnings: [...schemeWarnings(scheme, target), ...int8Warnings(target, scheme.weights.reduceRange)],
  }
}

function unchanged(model: Model, notes: readonly Note[]) {
  return { model, modified: false, notes }
}

/** Ranges don't depend on the last bits, so calibration runs as fast as the runtime can. */
function calibrationSession({ target }: PassContext): SessionOptions {
  return target.threads === undefined ? {} : { intraOpThreads: target.threads }
}

function sessionsOf(context: PassContext): UseSession {
  return (model, use) => withSession(context, model, calibrationSession(context), use)
}

function calibrationData({ calibration }: PassContext): Dataset {
  if (calibration !== undefined) return calibration
  throw new HastenError(
    'dataset_needed',
    'quantize.static chooses ranges from a calibration dataset, and there is none',
  )
}

async function calibratePlan(model: Model, options: Options, scheme: Scheme, context: PassContext) {
  const { signal, progress, observations } = context
  const dataset = calibrationData(context)
  const useSession = sessionsOf(context)
  const base = {
    ops: options.ops,
    exclude: options.exclude,
    kept: headNodes(model, options.keepHeads),
    absorbsClamps: !scheme.activations.symmetric,
  }
  const free: PlanOptions = { ...base, refusedValue: () => undefined }
  const outline = planQuantization(model, free)
  if (outline.anchors.size === 0) return { plan: outline, planOptions: free, calibration: nothingSeen, prepared: [] }
  const isAnchor = (node: Node) => outline.anchors.has(node)
  const prepared = await prepareModel(model, options, { isAnchor, dataset, signal, useSession })
  const runs = { ...options.calibration, affine: scheme.activations, signal, progress, store: observations }
  const names = nameValues(model)
  const observed = observedValues(model, base)
  const wanted = observed.flatMap((value) => names.get(value) ?? [])
  const { ranges, refused, samples } = await collectRanges(model, wanted, dataset, runs, useSession)
  const calibrated = observed.flatMap((value) => {
    const range = ranges.get(names.get(value) ?? '')
    return range === undefined ? [] : [[value, range] as const]
  })
  const calibration: Calibrated = { ranges: new Map(calibrated), samples }
  const refusedValue = (value: Value) => {
    if (calibration.ranges.has(value)) return undefined
    const reason = refused.get(names.get(value) ?? '') ?? 'no sample of the calibration data gave it a value'
    return `value '${value.name}' can't be quantized: ${reason}`
  }
  const planOptions: PlanOptions = { ...base, refusedValue }
  return { plan: planQuantization(model, planOptions), planOptions, calibration, prepared }
}

interface Calibrated {
  readonly ranges: ReadonlyMap<Value, Range>
  readonly samples: number
}

const nothingSeen: Calibrated = { ranges: new Map(), samples: 0 }

function describePlan(plan: Plan, scheme: Scheme): Note[] {
  const done =
    (reason: string) =>
    (node: { name: string; opType: string }): Note => ({
      node: node.name,
      op: node.opType,
      action: 'done',
      reason,
    })
  return [
    ...[...plan.anchors.keys()].map(done(describeScheme(scheme))),
    ...[...plan.followers].map(done('stays in int8 between int8 nodes')),
  ]
}

const rangeSources: Readonly<Record<Options['calibration']['method'], string>> = {
  minmax: 'the smallest and largest values',
  moving_average: 'the moving average of the extremes of each batch',
  percentile: 'percentiles of the values',
  entropy: 'those of least divergence',
  mse: 'those of least squared error',
}

function describeCorrection({ corrected, without }: Correction): string {
  const rest = without === 0 ? '' : `; ${without} matrix products have no Add of a constant after them to hold one`
  return `biases of ${corrected} nodes were corrected${rest}`
}

function calibrationNote({ calibration }: Options, samples: number): Note {
  return { action: 'info', reason: `ranges are ${rangeSources[calibration.method]} over ${samples} samples` }
}
