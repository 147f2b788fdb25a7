import { builtinRecipes } from '../recipes/builtin.ts'
import { isTight, needsLoss, percent, shrink, speedupOf, type Judgement, type Situation } from './estimate.ts'
import { refuseStatic } from './quantized.ts'
import type { Technique } from './techniques.ts'

/** How much less a layer costs when a share of its inputs and outputs is gone, by rule of thumb. */
interface Cut {
  readonly dense: number
  /** Depthwise convolutions have as many outputs as inputs, so they lose the share once. */
  readonly depthwise: number
  /** Of weights, what is left. */
  readonly weights: number
}

const quarterCut: Cut = { dense: 1.6, depthwise: 1.3, weights: 0.6 }
const halfCut: Cut = { dense: 3, depthwise: 1.9, weights: 0.28 }

function refuseCut(situation: Situation): string | undefined {
  const { convolution, product } = situation.work.shares
  if (convolution + product === 0) return 'There are no convolutions or products whose channels could go.'
  const { hasCalibration, training } = situation.need
  return needsLoss(situation) ?? (hasCalibration || training !== undefined ? undefined : noSamples)
}

const noSamples = 'What is left after channels are gone has to learn again, and there are no samples to learn from.'

function judgeCut({ work, factors, need }: Situation, cut: Cut, lossNeeded: number, isInt8 = false): Judgement {
  const { convolution, product, depthwise } = work.shares
  const [fasterConvolution, fasterProduct] = isInt8 ? [factors.convolution, factors.product] : [1, 1]
  const isDoubtful = need.allowedLoss < lossNeeded
  const teacher =
    need.training === 'labels'
      ? 'It learns from your labels.'
      : 'Without labels the original teaches it, so it can at best become as good.'
  const reasons = [
    `${percent(convolution + product + depthwise)} of the work is layers that get fewer channels.`,
    teacher,
    'Training takes minutes to hours, so it is what to do when faster techniques are not enough.',
  ]
  if (isDoubtful) reasons.push(`It seldom keeps its loss under ${percent(need.allowedLoss)}.`)
  return {
    speedup: speedupOf([
      [convolution, cut.dense * fasterConvolution],
      [product, cut.dense * fasterProduct],
      [depthwise, cut.depthwise],
    ]),
    size_ratio: shrink(work.denseWeights, cut.weights * (isInt8 ? 0.26 : 1)),
    reasons: isInt8 ? [...reasons, factors.basis, work.basis] : [...reasons, work.basis],
    isDoubtful,
  }
}

/** Ranks may be low where a product has many weights; only its singular values tell. */
const factorized = { product: 1.3, weights: 0.7 }

export const smallerModels: readonly Technique[] = [
  {
    name: 'prune-finetune',
    recipe: builtinRecipes['prune-finetune'],
    isTrained: true,
    refuse: refuseCut,
    judge: (situation) => judgeCut(situation, quarterCut, 0.005),
  },
  {
    name: 'distill-small',
    recipe: builtinRecipes['distill-small'],
    isTrained: true,
    refuse: refuseCut,
    judge: (situation) => judgeCut(situation, halfCut, 0.02),
  },
  {
    name: 'prune-distill-int8',
    recipe: builtinRecipes['prune-distill-int8'],
    isTrained: true,
    refuse: (situation) => refuseStatic(situation) ?? refuseCut(situation),
    judge: (situation) => judgeCut(situation, quarterCut, 0.01, true),
  },
  {
    name: 'factorize',
    recipe: {
      version: 1,
      name: 'factorize',
      description: 'Layers of low rank split in two or three; those that gain nothing stay whole.',
      steps: [
        { pass: 'simplify', options: {} },
        { pass: 'factorize', options: {} },
      ],
    },
    refuse(situation) {
      if (situation.work.shares.product === 0) return 'There are no products with constant weights.'
      return needsLoss(situation)
    },
    judge({ work, need }) {
      const { product } = work.shares
      const isDoubtful = isTight(need)
      const reasons = [
        `${percent(product)} of the work is products with constant weights; whether their rank is low, only a job finds out.`,
      ]
      if (isDoubtful) reasons.push('Without training after it, it seldom keeps so small a loss.')
      return {
        speedup: speedupOf([[product, factorized.product]]),
        size_ratio: shrink(work.productWeights, factorized.weights),
        reasons,
        isDoubtful,
      }
    },
  },
]
