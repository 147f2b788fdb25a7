import path from 'node:path'
import type { TSchema } from 'typebox'
import { Default } from 'typebox/value'
import type { Model } from '../ir/model.ts'
import { saveModel } from '../onnx/index.ts'
import { fp16Pass } from './fp16.ts'
import { openJudge, type Judge } from './judge-variant.ts'
import type { autoTechniques } from './options/auto.ts'
import { passSchemas, type PassName } from './options/index.ts'
import { definePass, type Note, type Pass, type PassContext, type PassOptions, type PassResult } from './pass.ts'
import { quantizeDynamicPass } from './quantize-dynamic.ts'
import { quantizeMixedPass } from './quantize-mixed.ts'
import { quantizeStaticPass } from './quantize-static.ts'
import { quantizeWeightsPass } from './quantize-weights.ts'
import { runPass } from './run-pass.ts'
import { chooseFastest } from './tune.ts'
import { timeModels } from './tune/time-sessions.ts'

type Options = PassOptions<'auto'>
type TechniqueName = (typeof autoTechniques)[number]

/** Tries techniques one after another and keeps the fastest that stays inside the quality budget, else the model as it was. */
export const autoPass = definePass({
  name: 'auto',
  stage: 'optimize',
  version: 1,
  async run(model, options, context) {
    const { calibration } = context
    if (calibration === undefined) return unchanged(model, [{ action: 'skipped', reason: noDataset }])
    const judge = await openJudge(model, calibration, options, context)
    const tried = await tryTechniques(model, options, judge, context)
    if (tried.passing.length === 0) return unchanged(model, tried.notes)
    return pickFastest(model, tried, context)
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

interface Variant {
  readonly name: TechniqueName
  readonly result: PassResult
}

interface Tried {
  readonly passing: readonly Variant[]
  readonly notes: readonly Note[]
}

async function tryTechniques(model: Model, options: Options, judge: Judge, context: PassContext): Promise<Tried> {
  const began = performance.now()
  const passing: Variant[] = []
  const notes: Note[] = []
  const quiet = { ...context, progress: () => undefined }
  for (const [index, name] of options.techniques.entries()) {
    context.signal.throwIfAborted()
    const reason = skipReason(name, passing, performance.now() - began, options)
    if (reason === undefined) {
      const result = await techniques[name].run(model, options, quiet)
      const loss = result.modified ? await judge.lossOf(result.model) : undefined
      if (loss !== undefined && loss <= judge.budget) passing.push({ name, result })
      notes.push({ action: 'info', reason: `${name}: ${describeLoss(loss, judge)}` })
    } else notes.push({ action: 'skipped', reason: `${name}: ${reason}` })
    context.progress(index + 1, options.techniques.length, 'techniques')
  }
  return { passing, notes }
}

function skipReason(name: TechniqueName, passing: readonly Variant[], elapsedMs: number, options: Options) {
  if (elapsedMs > options.budgetMs) return `the ${options.budgetMs} ms were used up`
  const hasStatic = passing.some((variant) => variant.name === 'int8-static')
  return name === 'int8-mixed' && hasStatic ? 'static int8 fits the budget with every layer' : undefined
}

function describeLoss(loss: number | undefined, { metric, budget }: Judge): string {
  if (loss === undefined) return 'found nothing to change'
  return `${metric} is ${loss.toPrecision(3)}, ${loss <= budget ? 'within' : 'over'} the budget of ${budget}`
}

/** Milliseconds of interleaved runs that decide between variants; the job measures the winner for longer. */
const timingMs = 4000

async function pickFastest(model: Model, { passing, notes }: Tried, context: PassContext): Promise<PassResult> {
  const paths = await Promise.all([
    save(model, 'unchanged', context),
    ...passing.map(({ name, result }) => save(result.model, name, context)),
  ])
  const { signal, target } = context
  const session = target.threads === undefined ? {} : { intraOpThreads: target.threads }
  const timings = await timeModels(
    paths.map((file) => ({ path: file, session })),
    { budgetMs: timingMs, signal, context },
  )
  const best = chooseFastest(timings)
  const names = ['unchanged', ...passing.map(({ name }) => name)]
  const timed = timings.map(({ medianMs }, index): Note => {
    const state = index === best ? ', the fastest' : ''
    return { action: index === best ? 'done' : 'info', reason: `${names[index]}: ${medianMs.toFixed(3)} ms${state}` }
  })
  const winner = passing[best - 1]
  if (winner === undefined) return unchanged(model, [...notes, ...timed])
  return { ...winner.result, notes: [...winner.result.notes, ...notes, ...timed] }
}

async function save(model: Model, name: string, { workDir }: PassContext): Promise<string> {
  const file = path.join(workDir, `auto-${name}.onnx`)
  await saveModel(model, file)
  return file
}
