import type { ModelFacts } from '../analysis/facts.ts'
import { builtinRecipes } from '../recipes/builtin.ts'
import { missingData, recipeNeeds } from '../recipes/needs.ts'
import { parseRecipe } from '../recipes/parse.ts'
import type { Recipe } from '../recipes/schema.ts'
import type { Estimate, Situation } from './estimate.ts'
import { hostFactors, type AdviceHost } from './factors.ts'
import type { AdviceNeed } from './need.ts'
import type { KernelForecast } from './forecast.ts'
import { techniques, type Technique } from './techniques.ts'
import { adviseThreads, type ThreadAdvice } from './threads.ts'
import { summarizeWork } from './work.ts'

/** A technique, how it is likely to do here, and a recipe that a job can run as it is. */
interface Suggestion {
  readonly technique: string
  /** `try`: likely to help. `unlikely`: possible, and not expected to help. `unsuitable`: does not fit. */
  readonly advice: 'try' | 'unlikely' | 'unsuitable'
  /** From rules of thumb and this model's mix of work; only a job's measurement is evidence. Null when unsuitable. */
  readonly estimate: Estimate | null
  /** From times of this model's kernels on such a host; null when nobody asked. */
  readonly forecast: KernelForecast | null
  readonly reasons: readonly string[]
  readonly needs: { readonly calibration: boolean; readonly train: 'labels' | 'samples' | null }
  readonly recipe: Recipe
}

export interface Advice {
  /** The best first. */
  readonly suggestions: readonly Suggestion[]
  /** The recipe to start with: the first suggestion that can be run with what there is. */
  readonly recipe: Recipe
  /** How many threads to ask for. */
  readonly target: ThreadAdvice
}

/** A gain below this is not worth a job. */
const minGain = 1.03

/** What a training gains counts for less than what is gained at once: it takes long, and may fail. */
const trainedShare = 0.3

/**
 * Ranks techniques by what a model is made of, the host and the need. Pure: facts in, sentences out; nothing is run.
 * @param facts those kept with the model
 * @param host undefined when no worker is there to say what it has
 * @param forecasts by technique: what kernels measured on such a host tell counts more than a rule of thumb
 */
export function advise(
  facts: ModelFacts,
  host: AdviceHost | undefined,
  need: AdviceNeed,
  forecasts: ReadonlyMap<string, KernelForecast> = new Map(),
): Advice {
  const situation = { work: summarizeWork(facts), factors: hostFactors(host, need), need, host }
  const ranked = techniques
    .map((technique) => suggest(technique, situation, forecasts.get(technique.name)))
    .toSorted((a, b) => rankOf(a.suggestion) - rankOf(b.suggestion) || b.score - a.score)
  const suggestions = ranked.map(({ suggestion }) => suggestion)
  const runnable = suggestions.find(({ advice, recipe }) => advice === 'try' && isRunnable(recipe, need))
  return {
    suggestions,
    recipe: runnable?.recipe ?? parseRecipe(builtinRecipes.lossless),
    target: adviseThreads(facts, host, need),
  }
}

const order: readonly Suggestion['advice'][] = ['try', 'unlikely', 'unsuitable']
const rankOf = ({ advice }: Suggestion) => order.indexOf(advice)

function isRunnable(recipe: Recipe, { hasCalibration, training }: AdviceNeed): boolean {
  const given = {
    ...(hasCalibration && { calibration: { labels: false } }),
    ...(training && { train: { labels: training === 'labels' } }),
  }
  return missingData(recipe, given).length === 0
}

function suggest(
  technique: Technique,
  situation: Situation,
  forecast: KernelForecast | undefined,
): { suggestion: Suggestion; score: number } {
  const { name, isTrained } = technique
  const recipe = parseRecipe(technique.recipe)
  const { calibration, train = null } = recipeNeeds(recipe)
  const common = { technique: name, needs: { calibration, train }, recipe, forecast: forecast ?? null }
  const refusal = technique.refuse(situation)
  if (refusal !== undefined)
    return { suggestion: { ...common, advice: 'unsuitable', estimate: null, reasons: [refusal] }, score: 0 }
  const { reasons, isDoubtful = false, ...estimate } = technique.judge(situation)
  const measured = measuredGain(forecast)
  const gain = gainOf({ ...estimate, ...(measured && { speedup: measured }) }, situation.need)
  const advice = gain >= minGain && !isDoubtful ? 'try' : 'unlikely'
  const score = isTrained ? 1 + (gain - 1) * trainedShare : gain
  const told =
    measured === undefined
      ? []
      : [`Kernels measured on such a host tell ${times(measured)}, which counts more than the rule of thumb.`]
  return { suggestion: { ...common, advice, estimate, reasons: [...reasons, ...told] }, score }
}

const times = (gain: number) => `${Number(gain.toPrecision(2))} times the speed`

/** A forecast of less than half of the kernels says too little to rank by. */
function measuredGain(forecast: KernelForecast | undefined): number | undefined {
  if (forecast?.speedup == null) return undefined
  return forecast.kernels.measured * 2 >= forecast.kernels.total ? forecast.speedup.estimate : undefined
}

function gainOf({ speedup, size_ratio: ratio }: Estimate, { goal }: AdviceNeed): number {
  return goal === 'size' ? 1 / ratio : speedup
}
