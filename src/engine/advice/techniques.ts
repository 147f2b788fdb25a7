import { builtinRecipes } from '../recipes/builtin.ts'
import type { KernelForm } from '../oracle/kernel.ts'
import type { Recipe } from '../recipes/schema.ts'
import { needsLoss, type Judgement, type Situation } from './estimate.ts'
import {
  judgeDynamic,
  judgeMixed,
  judgePacked,
  judgeStatic,
  judgeTrained,
  refuseDynamic,
  refusePacked,
  refuseStatic,
  refuseTrained,
} from './quantized.ts'
import { smallerModels } from './smaller-models.ts'

export interface Technique {
  readonly name: string
  readonly recipe: Recipe
  /** What it removes has to be learned again. */
  readonly isTrained?: true
  /** The forms that layers get, the usual one first; absent where nobody times what it changes. */
  readonly forms?: readonly KernelForm[]
  /** Why it can't be used, in a sentence. */
  readonly refuse: (situation: Situation) => string | undefined
  readonly judge: (situation: Situation) => Judgement
}

const staticForms = ['qdq-u8s8', 'qdq-u8u8', 'qdq-s8s8'] as const

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

function judgeLossless({ work: { ops } }: Situation): Judgement {
  const has = (name: string) => (ops[name] ?? 0) > 0
  const found = rewritten.filter(has)
  const isDecomposed = has('Clip') && (has('Div') || has('Mul'))
  const speedup = isDecomposed ? 1.1 : has('BatchNormalization') ? 1.05 : 1.01
  const what =
    found.length === 0 ? 'Few operators here have a faster form.' : `There is ${found.join(', ')} to fold or fuse.`
  return { speedup, size_ratio: 1, reasons: [what, 'Every output stays as it is, so it is safe to run first.'] }
}

/** Everything that advice knows of; those with a recipe of another name than theirs have it here. */
export const techniques: readonly Technique[] = [
  { name: 'lossless', recipe: builtinRecipes.lossless, refuse: () => undefined, judge: judgeLossless },
  {
    name: 'int8-static',
    recipe: builtinRecipes['int8-static'],
    forms: staticForms,
    refuse: refuseStatic,
    judge: judgeStatic,
  },
  {
    name: 'int8-mixed',
    recipe: builtinRecipes['int8-mixed'],
    forms: staticForms,
    refuse: refuseStatic,
    judge: judgeMixed,
  },
  {
    name: 'int8-dynamic',
    recipe: builtinRecipes['int8-dynamic'],
    forms: ['dynamic'],
    refuse: refuseDynamic,
    judge: judgeDynamic,
  },
  ...([8, 4] as const).map((bits): Technique => ({
    name: `w${bits}`,
    recipe: builtinRecipes[`w${bits}`],
    refuse: refusePacked,
    judge: (situation) => judgePacked(situation, bits),
  })),
  {
    name: 'fp16',
    recipe: builtinRecipes.fp16,
    refuse: needsLoss,
    judge({ factors }) {
      const reason = factors.isGpu ? factors.basis : 'A CPU computes float16 in float32: it saves storage, not time.'
      return { speedup: factors.half, size_ratio: 0.5, reasons: [reason] }
    },
  },
  {
    name: 'qat-int8',
    recipe: builtinRecipes['qat-int8'],
    isTrained: true,
    forms: staticForms,
    refuse: refuseTrained,
    judge: judgeTrained,
  },
  ...smallerModels,
]
