import { HastenError } from '../../../errors.ts'
import type { Model } from '../../ir/model.ts'
import type { PassContext } from '../pass.ts'
import { requestKey, sumSquares } from './observe-inputs.ts'
import { sumGradients } from './weight-gradients.ts'
import { inputChannelOf, type PrunableWeight } from './weights.ts'

export type ImportanceKind = 'magnitude' | 'activation' | 'gradient' | 'taylor'

/** How much each element of a weight matters; an element that is 0 matters 0. */
export type Importance = (weight: PrunableWeight) => Float32Array

/**
 * Importance of single weights: |w|; |w|·‖x‖ (Wanda, Sun et al. 2023); |w·∂L/∂w| (Molchanov et al. 2017); Σ (w·∂L/∂w)²
 * over batches (Molchanov et al. 2019).
 * @throws HastenError `dataset_needed`; `not_differentiable` for gradients that can't be had
 */
export async function weighImportance(
  model: Model,
  weights: readonly PrunableWeight[],
  { importance, samples }: { readonly importance: ImportanceKind; readonly samples: number },
  context: PassContext,
): Promise<Importance> {
  if (importance === 'magnitude') return ({ values }) => values.map(Math.abs)
  const { calibration } = context
  if (calibration === undefined)
    throw new HastenError('dataset_needed', `importance ${importance} of pruning needs a calibration dataset`)
  if (importance === 'activation') {
    const requests = weights.map(requestOf)
    const squares = await sumSquares(model, requests, calibration, samples, context)
    return (weight) => weighByInput(weight, squares.get(requestKey(requestOf(weight))))
  }
  const names = weights.map(({ value }) => value.name)
  const gradients = await sumGradients(model, names, calibration, samples, context)
  return ({ value, values }) => {
    const { sum, squares } = gradients.get(value.name) ?? {}
    if (importance === 'gradient') return values.map((weight, index) => Math.abs(weight * (sum?.[index] ?? 0)))
    return values.map((weight, index) => weight * weight * (squares?.[index] ?? 0))
  }
}

function requestOf({ node, dataAxis }: PrunableWeight) {
  return { name: node.inputs[0]?.name ?? '', axis: dataAxis }
}

/**
 * Norms of inputs are relative to their mean, so that layers compare as their weights do. Inputs that nobody could observe
 * count alike.
 */
function weighByInput(weight: PrunableWeight, squares: Float64Array | undefined): Float32Array {
  const channelOf = inputChannelOf(weight)
  const norms = squares?.map(Math.sqrt)
  const mean = norms === undefined ? 1 : norms.reduce((sum, norm) => sum + norm, 0) / norms.length
  const factor = (channel: number) => (norms === undefined || mean === 0 ? 1 : (norms[channel] ?? mean) / mean)
  return weight.values.map((value, position) => Math.abs(value) * factor(channelOf(position)))
}
