import type { BuiltinRecipeName } from '../recipes/builtin.ts'
import type { AdviceNeed } from './advise.ts'
import type { AdviceHost, HostFactors } from './factors.ts'
import type { Work } from './work.ts'

/** Rules of thumb; 2 = twice as fast, 0.25 = a quarter of the size. */
export interface Estimate {
  readonly speedup: number
  readonly size_ratio: number
}

export interface Situation {
  readonly work: Work
  readonly factors: HostFactors
  readonly need: AdviceNeed
  readonly host: AdviceHost | undefined
}

interface Judgement extends Estimate {
  readonly reasons: readonly string[]
}

export interface Technique {
  readonly recipe: BuiltinRecipeName
  /** Why it can't be used, in a sentence. */
  readonly refuse: (situation: Situation) => string | undefined
  readonly judge: (situation: Situation) => Judgement
}

const percent = (share: number) => `${Math.round(share * 100)} %`

/** Amdahl's law: only a share of the time gets faster. */
function speedupOf(parts: readonly (readonly [share: number, factor: number])[]): number {
  const saved = parts.reduce((sum, [share, factor]) => sum + share * (1 - 1 / factor), 0)
  return round(1 / (1 - saved))
}

function round(value: number): number {
  return Number(value.toPrecision(3))
}

function shrink(share: number, factor: number): number {
  return round(1 - share * (1 - factor))
}

const needsLoss = ({ need, work }: Situation): string | undefined => {
  if (work.isQuantized) return 'The model is quantized already.'
  return need.allowedLoss > 0 ? undefined : 'No loss is allowed, and this technique rounds weights.'
}

function refuseStatic(situation: Situation): string | undefined {
  const { work, factors } = situation
  if (factors.isGpu) return 'int8 in this form is for CPUs; the CUDA provider runs it slower than float.'
  if (work.shares.convolution + work.shares.product + work.shares.depthwise === 0)
    return 'There are no convolutions or products with constant weights.'
  return needsLoss(situation)
}

function judgeStatic({ work, factors, need }: Situation): Judgement {
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

/** Losses below this are seldom met by quantizing everything. */
const tightLoss = 0.01

const rewritten = [
  'HardSigmoid',
  'HardSwish',
  'Clip',
  'BatchNormalization',
  'Erf',
  'Constant',
  'Transpose',
  'ReduceMean',
]

export const techniques: readonly Technique[] = [
  {
    recipe: 'lossless',
    refuse: () => undefined,
    judge({ work }) {
      const found = rewritten.filter((op) => (work.ops[op] ?? 0) > 0)
      const decomposed = (work.ops['Clip'] ?? 0) > 0 && (work.ops['Div'] ?? 0) + (work.ops['Mul'] ?? 0) > 0
      const speedup = decomposed ? 1.1 : (work.ops['BatchNormalization'] ?? 0) > 0 ? 1.05 : 1.01
      const what =
        found.length === 0 ? 'Few operators here have a faster form.' : `There is ${found.join(', ')} to fold or fuse.`
      return { speedup, size_ratio: 1, reasons: [what, 'Every output stays as it is, so it is safe to run first.'] }
    },
  },
  {
    recipe: 'int8-static',
    refuse: refuseStatic,
    judge: judgeStatic,
  },
  {
    recipe: 'int8-mixed',
    refuse: refuseStatic,
    judge(situation) {
      const whole = judgeStatic(situation)
      const isTight = situation.need.allowedLoss < tightLoss
      const reason = isTight
        ? `A loss of ${percent(situation.need.allowedLoss)} at most is little: layers that hurt most stay in float.`
        : 'The loss allowed leaves room to quantize every layer, which is faster than searching.'
      // Some layers stay behind; where the budget is tight, that is what makes the rest pass at all.
      const speedup = isTight ? whole.speedup * 1.01 : whole.speedup * 0.95
      return {
        speedup: round(speedup),
        size_ratio: shrink(situation.work.denseWeights, 0.35),
        reasons: [reason, ...whole.reasons],
      }
    },
  },
  {
    recipe: 'int8-dynamic',
    refuse(situation) {
      if (situation.factors.isGpu) return 'int8 in this form is for CPUs.'
      const { product, recurrent } = situation.work.shares
      if (product + recurrent === 0)
        return 'There are no products with constant weights; dynamic int8 slows convolutions down.'
      return needsLoss(situation)
    },
    judge({ work, factors, need }) {
      const { product, recurrent, activation_product: attention } = work.shares
      const reasons = [
        `${percent(product + recurrent)} of the work is products with constant weights; no dataset is needed.`,
      ]
      if (attention > 0.02)
        reasons.push(`${percent(attention)} is products of two activations (attention), which stay in float.`)
      const factor = need.batch > 1 ? factors.product : factors.row
      return {
        speedup: speedupOf([
          [product, factor],
          [recurrent, factors.product * 0.7],
        ]),
        size_ratio: shrink(work.productWeights, 0.26),
        reasons: [...reasons, factors.basis, work.basis],
      }
    },
  },
  ...([8, 4] as const).map((bits): Technique => ({
    recipe: `w${bits}`,
    refuse(situation) {
      if (situation.work.shares.product === 0) return 'There are no products with constant weights.'
      return needsLoss(situation)
    },
    judge({ work, factors, need }) {
      const { product } = work.shares
      const size_ratio = shrink(work.productWeights, bits / 32 + 0.03)
      const reasons = [`Weights of products are ${percent(work.productWeights)} of the file.`]
      if (need.batch > 1) reasons.push('With several samples a run the weights are unpacked for little gain.')
      const speedup = speedupOf([[product, need.batch > 1 ? 1 : factors.row]])
      return { speedup, size_ratio, reasons: [...reasons, factors.basis] }
    },
  })),
  {
    recipe: 'fp16',
    refuse: needsLoss,
    judge({ factors }) {
      const reason = factors.isGpu ? factors.basis : 'A CPU computes float16 in float32: it saves storage, not time.'
      return { speedup: factors.half, size_ratio: 0.5, reasons: [reason] }
    },
  },
]
