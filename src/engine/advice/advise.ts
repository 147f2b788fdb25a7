import type { ModelFacts } from '../analysis/facts.ts'
import { builtinRecipes, type BuiltinRecipeName } from '../recipes/builtin.ts'
import { recipeNeeds } from '../recipes/needs.ts'
import { parseRecipe } from '../recipes/parse.ts'
import type { Recipe } from '../recipes/schema.ts'
import { hostFactors, type AdviceHost } from './factors.ts'
import { techniques, type Estimate, type Situation, type Technique } from './techniques.ts'
import { summarizeWork } from './work.ts'

/** What a user wants of a model. */
export interface AdviceNeed {
  readonly goal: 'latency' | 'throughput' | 'size'
  /** Share of right answers that may be lost; 0 asks for lossless techniques only. */
  readonly allowedLoss: number
  /** Whether there is a dataset to choose ranges from. */
  readonly hasCalibration: boolean
  /** Samples of one run. */
  readonly batch: number
}

/** A technique, how it is likely to do here, and a recipe that a job can run as it is. */
interface Suggestion {
  readonly technique: BuiltinRecipeName
  /** `try`: likely to help. `unlikely`: possible, and not expected to help. `unsuitable`: does not fit. */
  readonly advice: 'try' | 'unlikely' | 'unsuitable'
  /** From rules of thumb and this model's mix of work; only a job's measurement is evidence. Null when unsuitable. */
  readonly estimate: Estimate | null
  readonly reasons: readonly string[]
  readonly needs: { readonly calibration: boolean }
  readonly recipe: Recipe
}

export interface Advice {
  /** The best first. */
  readonly suggestions: readonly Suggestion[]
  /** The recipe to start with: the first suggestion that can be run with what there is. */
  readonly recipe: Recipe
}

/** A gain below this is not worth a job. */
const minGain = 1.03

/**
 * Ranks techniques by what a model is made of, the host and the need. Pure: facts in, sentences out; nothing is run.
 * @param facts those kept with the model
 * @param host undefined when no worker is there to say what it has
 */
export function advise(facts: ModelFacts, host: AdviceHost | undefined, need: AdviceNeed): Advice {
  const work = summarizeWork(facts)
  const factors = hostFactors(host)
  const suggestions = techniques
    .map((technique) => suggest(technique, { work, factors, need, host }))
    .toSorted((a, b) => scoreOf(b, need) - scoreOf(a, need))
  const runnable = suggestions.find(
    ({ advice, needs }) => advice === 'try' && (need.hasCalibration || !needs.calibration),
  )
  return { suggestions, recipe: runnable?.recipe ?? parseRecipe(builtinRecipes.lossless) }
}

function suggest(technique: Technique, situation: Situation): Suggestion {
  const base = builtinRecipes[technique.recipe]
  const { need } = situation
  const common = { technique: technique.recipe, needs: { calibration: recipeNeeds(base).calibration }, recipe: parseRecipe(base) }
  const refusal = technique.refuse(situation)
  if (refusal !== undefined) return { ...common, advice: 'unsuitable', estimate: null, reasons: [refusal] }
  const { reasons, ...estimate } = technique.judge(situation)
  return { ...common, advice: gainOf(estimate, need) >= minGain ? 'try' : 'unlikely', estimate, reasons }
}

function gainOf({ speedup, size_ratio: ratio }: Estimate, { goal }: AdviceNeed): number {
  return goal === 'size' ? 1 / ratio : speedup
}

function scoreOf({ estimate }: Suggestion, need: AdviceNeed): number {
  return estimate === null ? 0 : gainOf(estimate, need)
}
