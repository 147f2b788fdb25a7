import type { Model } from '../ir/model.ts'
import { cloneModel } from '../ir/clone.ts'
import { removeDeadNodes, removeUnusedInitializers } from '../rewrite/dead.ts'
import { liftConstants } from '../rewrite/lift-constants.ts'
import { upgradeOpset } from '../rewrite/opset/upgrade.ts'
import { int8Warnings } from './int8-target.ts'
import { definePass, type Note, type PassContext, type PassOptions, type PassResult } from './pass.ts'
import { calibratePlan, calibrationData, sessionsOf, type CalibratedPlan } from './quantize/calibrate-plan.ts'
import { correctBiases, type Correction } from './quantize/correct-bias.ts'
import { calibrationNote, describePlan } from './quantize/describe-plan.ts'
import { insertQdq } from './quantize/insert-qdq.ts'
import { declineModel, resolveScheme, schemeWarnings } from './quantize/scheme.ts'

type Options = PassOptions<'quantize.static'>

/** int8 by Q/DQ pairs with ranges from a calibration dataset, in the forms ONNX Runtime has int8 kernels for. */
export const quantizeStaticPass = definePass({
  name: 'quantize.static',
  stage: 'calibrate',
  version: 10,
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

async function quantizeModel(
  model: Model,
  { plan, planOptions, ranges, samples, notes: prepared }: CalibratedPlan,
  options: Options,
  context: PassContext,
): Promise<PassResult> {
  const { target, signal } = context
  const scheme = resolveScheme(options, target)
  insertQdq(model, plan, planOptions, ranges, scheme)
  removeDeadNodes(model.graph)
  removeUnusedInitializers(model)
  const notes = [...prepared, ...describePlan(plan, scheme), ...plan.notes]
  if (options.correctBias) {
    const runs = { ...options.calibration, signal }
    const layers = [...plan.anchors.values()]
    const correction = await correctBiases(model, layers, calibrationData(context), runs, sessionsOf(context))
    notes.push({ action: 'info', reason: describeCorrection(correction) })
  }
  notes.push(calibrationNote(options.calibration, samples))
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

function describeCorrection({ corrected, without }: Correction): string {
  const rest = without === 0 ? '' : `; ${without} matrix products have no Add of a constant after them to hold one`
  return `biases of ${corrected} nodes were corrected${rest}`
}
