import type { TSchema } from 'typebox'
import { Default } from 'typebox/value'
import type { Model } from '../ir/model.ts'
import { finiteOrNull, type PassFindings, type SearchTrial } from './findings.ts'
import { fp16Pass } from './fp16.ts'
import { openJudge, type Judge } from './judge-variant.ts'
import type { autoTechniques } from './options/auto.ts'
import { passSchemas, type PassName } from './options/index.ts'
import {
  definePass,
  type Note,
  type Pass,
  type PassContext,
  type PassOptions,
  type PassResult,
  type SessionTiming,
} from './pass.ts'
import { quantizeDynamicPass } from './quantize-dynamic.ts'
import { quantizeMixedPass } from './quantize-mixed.ts'
import { quantizeStaticPass } from './quantize-static.ts'
import { quantizeWeightsPass } from './quantize-weights.ts'
import { runPass } from './run-pass.ts'
import { asSpeedup, raceVariants } from './race-variants.ts'
import { chooseFastest } from './tune.ts'

type Options = PassOptions<'auto'>
type TechniqueName = (typeof autoTechniques)[number]

/** Tries techniques one after another and keeps the fastest that stays inside the quality budget, else the model as it was. */
export const autoPass = definePass({
  name: 'auto',
  stage: 'optimize',
  version: 2,
  async run(model, options, context) {
    const { calibration } = context
    if (calibration === undefined) return unchanged(model, [{ action: 'skipped', reason: noDataset }])
    const judge = await openJudge(model, calibration, options, context)
    const tried = await tryTechniques(model, options, judge, context)
    const made = tried.filter(isMade)
    const timings = made.length === 0 ? [] : await race(model, made, context)
    const picked = pickFastest(
      model,
      made,
      timings,
      tried.map(({ note }) => note),
    )
    return { ...picked, findings: describeFindings(tried, made, timings, judge) }
  },
})

const noDataset = 'without a calibration dataset there is nothing to judge a loss on, so nothing lossy was tried'

function unchanged(model: Model, notes: readonly Note[]): PassResult {
  return { model, modified: false, notes }
}

interface Technique {
  readonly run: (model: Model, options: Options, context: PassContext) => Promise<PassResult>
}

const techniques: Readonly<Record<TechniqueName, Technique>> = {
  'int8-static': { run: (model, { exclude }, context) => apply(quantizeStaticPass, model, { exclude }, context) },
  'int8-mixed': {
    run: (model, { exclude, maxDrop, maxDistance, evalSamples }, context) =>
      apply(quantizeMixedPass, model, { exclude, maxDrop, maxDistance, evalSamples }, context),
  },
  'int8-dynamic': { run: (model, _options, context) => apply(quantizeDynamicPass, model, {}, context) },
  w8: { run: (model, _options, context) => apply(quantizeWeightsPass, model, { bits: 8 }, context) },
  w4: { run: (model, _options, context) => apply(quantizeWeightsPass, model, { bits: 4 }, context) },
  fp16: { run: (model, _options, context) => apply(fp16Pass, model, {}, context) },
}

function apply<N extends PassName>(pass: Pass<N>, model: Model, options: object, context: PassContext) {
  const schema: TSchema = passSchemas[pass.name].options
  return runPass(pass, model, Default(schema, { ...options }) as PassOptions<N>, context)
}

/** A technique that was tried, or why it was not. */
interface Tried {
  readonly name: TechniqueName
  readonly note: Note
  readonly result?: PassResult
  readonly loss?: number
  readonly passing: boolean
}

/** A technique that made another model. */
interface Made extends Tried {
  readonly result: PassResult
  readonly loss: number
}

const isMade = (tried: Tried): tried is Made => tried.loss !== undefined

async function tryTechniques(model: Model, options: Options, judge: Judge, context: PassContext): Promise<Tried[]> {
  const began = performance.now()
  const tried: Tried[] = []
  for (const [index, name] of options.techniques.entries()) {
    context.signal.throwIfAborted()
    const reason = skipReason(name, tried, performance.now() - began, options)
    tried.push(
      reason === undefined
        ? await tryTechnique(name, { model, options, judge, context })
        : { name, note: { action: 'skipped', reason: `${name}: ${reason}` }, passing: false },
    )
    context.progress(index + 1, options.techniques.length, 'techniques')
  }
  return tried
}

interface Trying {
  readonly model: Model
  readonly options: Options
  readonly judge: Judge
  readonly context: PassContext
}

async function tryTechnique(name: TechniqueName, { model, options, judge, context }: Trying): Promise<Tried> {
  const result = await techniques[name].run(model, options, { ...context, progress: () => undefined })
  const loss = result.modified ? await judge.lossOf(result.model) : undefined
  const note: Note = { action: 'info', reason: `${name}: ${describeLoss(loss, judge)}` }
  if (loss === undefined) return { name, note, result, passing: false }
  return { name, note, result, loss, passing: loss <= judge.budget }
}

function skipReason(name: TechniqueName, tried: readonly Tried[], elapsedMs: number, options: Options) {
  if (elapsedMs > options.budgetMs) return `the ${options.budgetMs} ms were used up`
  const hasStatic = tried.some((other) => other.name === 'int8-static' && other.passing)
  return name === 'int8-mixed' && hasStatic ? 'static int8 fits the budget with every layer' : undefined
}

function describeLoss(loss: number | undefined, { metric, budget }: Judge): string {
  if (loss === undefined) return 'found nothing to change'
  return `${metric} is ${loss.toPrecision(3)}, ${loss <= budget ? 'within' : 'over'} the budget of ${budget}`
}

/** Milliseconds of interleaved runs that decide between variants; the job measures the best for longer. */
const timingMs = 4000

/** Also what lost too much is timed: how fast it would have been is what a budget costs. */
async function race(model: Model, made: readonly Made[], context: PassContext): Promise<readonly SessionTiming[]> {
  const models = made.map(({ result }) => result.model)
  return raceVariants(model, models, { budgetMs: timingMs, prefix: 'auto' }, context)
}

/** What is slower than the fastest by more than this will not win a longer measurement either. */
const closeRatio = 1.25
const maxVariants = 2

function pickFastest(
  model: Model,
  made: readonly Made[],
  timings: readonly SessionTiming[],
  tried: readonly Note[],
): PassResult {
  const [first, ...others] = timings
  const passing = made.flatMap((each, index) => {
    const timing = others[index]
    return each.passing && timing !== undefined ? [{ ...each, timing }] : []
  })
  if (first === undefined || passing.length === 0) return unchanged(model, tried)
  const best = chooseFastest([first, ...passing.map(({ timing }) => timing)])
  const bestMs = passing[best - 1]?.timing.medianMs ?? first.medianMs
  const close = passing.filter(({ timing }, index) => index !== best - 1 && timing.medianMs <= bestMs * closeRatio)
  const variants = close
    .toSorted((a, b) => a.timing.medianMs - b.timing.medianMs)
    .slice(0, maxVariants)
    .map(({ name, result }) => ({ name, model: result.model }))
  const times = [{ name: 'unchanged', timing: first }, ...passing]
  const notes = [...tried, ...times.map((each, index) => describeTime(each, index === best))]
  const winner = passing[best - 1]
  if (winner === undefined) return { ...unchanged(model, notes), variants }
  return { ...winner.result, notes: [...winner.result.notes, ...notes], variants }
}

function describeTime(
  { name, timing }: { readonly name: string; readonly timing: SessionTiming },
  isBest: boolean,
): Note {
  const reason = `${name}: ${timing.medianMs.toFixed(3)} ms${isBest ? ', the fastest' : ''}`
  return { action: isBest ? 'done' : 'info', reason }
}

function describeFindings(
  tried: readonly Tried[],
  made: readonly Made[],
  [first, ...timings]: readonly SessionTiming[],
  { metric, budget }: Judge,
): PassFindings {
  const trials = tried.map(({ name, note, loss, passing }): SearchTrial => {
    const { speedup, ci95 } = asSpeedup(timings[made.findIndex((each) => each.name === name)], first)
    const detail = note.reason.slice(name.length + 2)
    return { name, loss: finiteOrNull(loss ?? Number.NaN), within_budget: passing, speedup, ci95, detail }
  })
  const sensitivity = tried.find(({ result }) => result?.findings?.sensitivity !== undefined)?.result?.findings
  return { ...sensitivity, search: { metric, budget, trials } }
}
