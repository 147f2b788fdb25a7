import { HastenError } from '../../errors.ts'
import { cloneModel } from '../ir/clone.ts'
import type { Model } from '../ir/model.ts'
import { inlineFunctions } from '../rewrite/inline-functions.ts'
import { openJournal } from '../rewrite/journal.ts'
import { liftConstants } from '../rewrite/lift-constants.ts'
import { upgradeOpset } from '../rewrite/opset/upgrade.ts'
import { writeOutKernels } from './write-out.ts'

/** The opset that gradients are written in; newer models stay as they are. */
const stepOpset = 17

/** A copy with every weight as an initializer, in the model's own opset: what the result of training is made from. */
export function liftWeights(original: Model): Model {
  const model = cloneModel(original)
  const journal = openJournal()
  inlineFunctions(model, journal)
  liftConstants(model, journal)
  return model
}

/**
 * A copy to build a step on: as `liftWeights`, in an opset and in operators that have gradients. Weights keep their names.
 * @throws HastenError `not_differentiable` when there is no adapter for a node
 */
export function prepareModel(original: Model): Model {
  const model = liftWeights(original)
  const reason = upgradeOpset(model, stepOpset)
  if (reason !== undefined) {
    throw new HastenError('not_differentiable', `the model can't be brought to opset ${stepOpset}: ${reason}`, {
      hint: `Export the model with opset ${stepOpset} or later.`,
    })
  }
  writeOutKernels(model)
  return model
}
