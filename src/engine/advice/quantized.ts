import { isTight, needsLoss, percent, round, shrink, speedupOf, type Judgement, type Situation } from './estimate.ts'

export function refuseStatic(situation: Situation): string | undefined {
  const { work, factors } = situation
  if (factors.isGpu) return 'int8 in this form is for CPUs; the CUDA provider runs it slower than float.'
  const { convolution, product, depthwise } = work.shares
  if (convolution + product + depthwise === 0) return 'There are no convolutions or products with constant weights.'
  return needsLoss(situation)
}

export function judgeStatic({ work, factors, need }: Situation): Judgement {
  const { convolution, product, depthwise } = work.shares
  const reasons = [`${percent(convolution + product)} of the work is convolutions and products that have int8 kernels.`]
  if (depthwise > 0.05)
    reasons.push(`${percent(depthwise)} is depthwise convolutions, which stay in float: int8 slows them down.`)
  if (!need.hasCalibration) reasons.push('It chooses ranges from a calibration dataset: give the job one.')
  return {
    speedup: speedupOf([
      [convolution, factors.convolution],
      [product, factors.product],
    ]),
    size_ratio: shrink(work.denseWeights, 0.26),
    reasons: [...reasons, factors.basis, work.basis],
  }
}

/** Some layers stay behind; where the budget is tight, that is what makes the rest pass at all. */
export function judgeMixed(situation: Situation): Judgement {
  const whole = judgeStatic(situation)
  const { need, work } = situation
  const reason = isTight(need)
    ? `A loss of ${percent(need.allowedLoss)} at most is little: layers that hurt most stay in float.`
    : 'The loss allowed leaves room to quantize every layer, which is faster than searching.'
  return {
    speedup: round(whole.speedup * (isTight(need) ? 1.01 : 0.95)),
    size_ratio: shrink(work.denseWeights, 0.35),
    reasons: [reason, ...whole.reasons],
  }
}

export function refuseTrained(situation: Situation): string | undefined {
  const { hasCalibration, training } = situation.need
  const noSamples = 'Weights learn to live with rounding from samples, and there are none.'
  return refuseStatic(situation) ?? (hasCalibration || training !== undefined ? undefined : noSamples)
}

/** The same kernels as static int8, and less loss for a training. */
export function judgeTrained(situation: Situation): Judgement {
  // Its ranges come from what it learns from.
  const need = { ...situation.need, hasCalibration: true }
  const { reasons, ...estimate } = judgeStatic({ ...situation, need })
  const reason = 'As fast as int8-static; its weights are trained with the rounding, for when that loses too much.'
  return { ...estimate, reasons: [reason, 'Training takes minutes to hours.', ...reasons] }
}

export function refuseDynamic(situation: Situation): string | undefined {
  if (situation.factors.isGpu) return 'int8 in this form is for CPUs.'
  const { product, recurrent } = situation.work.shares
  if (product + recurrent === 0)
    return 'There are no products with constant weights; dynamic int8 slows convolutions down.'
  return needsLoss(situation)
}

export function judgeDynamic({ work, factors, need }: Situation): Judgement {
  const { product, recurrent, activation_product: attention } = work.shares
  const reasons = [
    `${percent(product + recurrent)} of the work is products with constant weights; no dataset is needed.`,
  ]
  if (recurrent > 0.02)
    reasons.push(`${percent(recurrent)} is recurrent layers, whose products run in int8 and whose gates stay in float.`)
  if (attention > 0.02)
    reasons.push(`${percent(attention)} is products of two activations (attention), which stay in float.`)
  return {
    speedup: speedupOf([
      [product, need.batch > 1 ? factors.product : factors.row],
      [recurrent, factors.product * 0.7],
    ]),
    size_ratio: shrink(work.productWeights + work.recurrentWeights, 0.26),
    reasons: [...reasons, factors.basis, work.basis],
  }
}

export function refusePacked(situation: Situation): string | undefined {
  if (situation.work.shares.product === 0) return 'There are no products with constant weights.'
  return needsLoss(situation)
}

export function judgePacked({ work, factors, need }: Situation, bits: number): Judgement {
  const reasons = [`Weights of products are ${percent(work.productWeights)} of the file.`]
  if (need.batch > 1) reasons.push('With several samples a run the weights are unpacked for little gain.')
  return {
    speedup: speedupOf([[work.shares.product, need.batch > 1 ? 1 : factors.row]]),
    size_ratio: shrink(work.productWeights, bits / 32 + 0.03),
    reasons: [...reasons, factors.basis],
  }
}
