import { advise } from '../advice/index.ts'
import { describeModel } from '../analysis/index.ts'
import type { Model } from '../ir/model.ts'
import { autoTechniques } from '../passes/options/auto.ts'
import type { Target } from '../passes/pass.ts'
import type { RecipeStep } from './schema.ts'

interface RankContext {
  readonly target: Target
  readonly calibration?: object | undefined
}

/** Fills in what an `auto` step should try, where its author left that open: what advice expects to help, the best first. */
export function rankTechniques(model: Model, step: RecipeStep, { target, calibration }: RankContext): RecipeStep {
  const given = step.options['techniques']
  if (step.pass !== 'auto' || (Array.isArray(given) && given.length > 0)) return step
  const { device, isa, threads = 1, batch = 1 } = target
  const { maxDrop } = step.options
  const allowedLoss = typeof maxDrop === 'number' ? maxDrop : 0
  const need = { goal: 'latency', allowedLoss, hasCalibration: calibration !== undefined, batch } as const
  const { suggestions } = advise(describeModel(model, weightBytes(model)), { device, isa, cores: threads }, need)
  const names = suggestions.filter(({ advice }) => advice === 'try').map(({ technique }) => technique)
  const rankOf = (name: string) => names.indexOf(name === 'int8-mixed' ? 'int8-static' : name)
  // Mixed precision is what static int8 falls back on, so it comes right after it: the sort is stable.
  const techniques = autoTechniques.filter((name) => names.includes(name)).toSorted((a, b) => rankOf(a) - rankOf(b))
  return { pass: step.pass, options: { ...step.options, techniques } }
}

/** Bytes of the weights of the main graph. */
export function weightBytes({ graph }: Model): number {
  let bytes = 0
  for (const { initializer } of graph.initializers) {
    if (initializer !== undefined && initializer.dtype !== 'string') bytes += initializer.bytes.byteLength
  }
  return bytes
}
