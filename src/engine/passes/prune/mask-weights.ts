import { setImmediate } from 'node:timers/promises'
import { cloneModel } from '../../ir/clone.ts'
import type { Model } from '../../ir/model.ts'
import { liftConstants } from '../../rewrite/lift-constants.ts'
import type { Note, PassContext, PassResult, Warning } from '../pass.ts'
import { compressedBytes } from './compressed-size.ts'
import { applyMask, type Mask } from './masks.ts'
import { weighImportance, type Importance, type ImportanceKind } from './weight-importance.ts'
import { findWeights, type PrunableWeight, type WeightFilter } from './weights.ts'

export interface MaskOptions extends WeightFilter {
  readonly importance: ImportanceKind
  readonly samples: number
}

/** Chooses the mask of each weight, or says why it stays whole. */
export type ChooseMasks = (
  weights: readonly PrunableWeight[],
  importance: Importance,
) => (weight: PrunableWeight) => Mask | string

/** Sets weights to 0 by masks, and says what that is worth: the size of the file when compressed. */
export async function maskWeights(
  original: Model,
  options: MaskOptions,
  context: PassContext,
  choose: ChooseMasks,
): Promise<PassResult> {
  const model = cloneModel(original)
  liftConstants(model)
  const { weights, skipped } = findWeights(model, options)
  const unchanged = (notes: readonly Note[]) => ({ model: original, modified: false, notes })
  if (weights.length === 0) return unchanged(skipped)
  const maskOf = choose(weights, await weighImportance(model, weights, options, context))
  const notes = [...skipped]
  for (const [index, weight] of weights.entries()) {
    notes.push(maskOne(model, weight, maskOf(weight)))
    context.progress(index + 1, weights.length, 'weights')
    await setImmediate()
    context.signal.throwIfAborted()
  }
  if (!notes.some(({ action }) => action === 'done')) return unchanged(notes)
  const [before, after] = [await compressedBytes(original), await compressedBytes(model)]
  notes.push({ action: 'info', reason: `the file takes ${after} bytes in gzip, before ${before}` })
  return { model, modified: true, notes, warnings: [compressionWarning] }
}

function maskOne(model: Model, weight: PrunableWeight, mask: Mask | string): Note {
  const { node, values } = weight
  const note = (action: Note['action'], reason: string): Note => ({ node: node.name, op: node.opType, action, reason })
  if (typeof mask === 'string') return note('skipped', mask)
  const { zeros, fresh } = applyMask(model, weight, mask)
  const share = `${zeros} of ${values.length} weights are 0`
  return fresh === 0 ? note('skipped', `${share} already`) : note('done', share)
}

const compressionWarning: Warning = {
  code: 'compression_only',
  hint:
    'Zeros make the compressed file smaller, not the model faster: ONNX Runtime has no kernel for sparse weights on CPUs. ' +
    'For speed use prune.structured, which makes shapes smaller.',
}
