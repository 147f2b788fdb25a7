import { HastenError } from '../../errors.ts'
import type { Model } from '../ir/model.ts'
import { measureReverts, selectChanges, type Sensitivity } from '../search/index.ts'
import { finiteOrNull, type SearchTrial, type SensitivityReport } from './findings.ts'
import { openJudge, type Judge } from './judge-variant.ts'
import { definePass, type Note, type PassContext, type PassOptions, type PassResult } from './pass.ts'
import { quantizeStaticPass } from './quantize-static.ts'
import { asSpeedup, raceVariants } from './race-variants.ts'
import { runPass } from './run-pass.ts'

type Options = PassOptions<'quantize.mixed'>

/** int8 where the quality budget allows it: layers are taken back by how much they hurt and how little they gain. */
export const quantizeMixedPass = definePass({
  name: 'quantize.mixed',
  stage: 'optimize',
  version: 2,
  async run(model, options, context) {
    const search = await openSearch(model, options, context)
    const full = await search.quantize([])
    const layers = layersOf(full)
    if (layers.length === 0) return full
    const loss = await search.lossOf(full)
    const whole = { name: nameOf(layers.length, layers.length), result: full, loss }
    if (loss > search.budget) return revertLayers({ model, search, layers, whole }, options, context)
    const notes = [verdictNote(search, loss, 'with every layer in int8')]
    return withFindings(full, notes, { search: await describeSearch(model, search, [whole], context) })
  },
})

interface Layer {
  readonly name: string
  readonly op: string
}

interface Search extends Pick<Judge, 'metric' | 'budget'> {
  /** The model in int8 but for these nodes. */
  quantize(floats: readonly string[]): Promise<PassResult>
  lossOf(result: PassResult): Promise<number>
}

async function openSearch(model: Model, options: Options, context: PassContext): Promise<Search> {
  const { calibration } = context
  if (calibration === undefined) {
    throw new HastenError(
      'dataset_needed',
      'quantize.mixed judges variants on a calibration dataset, and there is none',
    )
  }
  const judge = await openJudge(model, calibration, options, context)
  const quiet: PassContext = { ...context, progress: () => undefined }
  return {
    metric: judge.metric,
    budget: judge.budget,
    quantize: (floats) =>
      runPass(quantizeStaticPass, model, { ...options, exclude: [...options.exclude, ...floats] }, quiet),
    lossOf: async (result) => judge.lossOf(result.model),
  }
}

const layerOps = new Set(['Conv', 'MatMul', 'Gemm', 'ConvTranspose'])

function layersOf({ notes }: PassResult): Layer[] {
  return notes.flatMap(({ node, op, action }) =>
    action === 'done' && node !== undefined && node !== '' && op !== undefined && layerOps.has(op)
      ? [{ name: node, op }]
      : [],
  )
}

/** A model with some layers in int8, judged. */
interface JudgedVariant {
  readonly name: string
  readonly result: PassResult
  readonly loss: number
}

interface Found {
  readonly model: Model
  readonly search: Search
  readonly layers: readonly Layer[]
  /** With every layer in int8. */
  readonly whole: JudgedVariant
}

const nameOf = (kept: number, all: number) => `int8 in ${kept} of ${all} layers`

async function revertLayers(
  { model, search, layers, whole }: Found,
  options: Options,
  context: PassContext,
): Promise<PassResult> {
  const gainOf = ({ name }: Layer) => Math.max(0, context.savings?.get(name) ?? 1)
  const byGain = layers.toSorted((a, b) => gainOf(b) - gainOf(a))
  const [tried, rest] = [byGain.slice(0, options.maxNodes), byGain.slice(options.maxNodes)]
  const measureWithout = async ({ name }: Layer) => search.lossOf(await search.quantize([name]))
  const ranked = await measureReverts(tried, whole.loss, measureWithout, {
    signal: context.signal,
    progress: (done, total) => context.progress(done, total, 'layers'),
  })
  const items = ranked.map(({ item, relief }) => ({ gain: gainOf(item), loss: Math.max(0, relief) }))
  const kept = selectChanges(items, search.budget)
  const floats = [...ranked.filter((_, index) => !kept.includes(index)).map(({ item }) => item), ...rest]
  const settled = await settle({ search, layers, ranked }, floats, context.signal)
  const sensitivity = describeSensitivity({ search, ranked, rest, whole, settled }, context)
  const last = settled.variants.at(-1) ?? whole
  const notes = [
    ...ranked.map((each, index) => describeLayer(each, index, search, settled.floats.includes(each.item))),
    verdictNote(search, last.loss, `with ${layers.length - settled.floats.length} of ${layers.length} layers in int8`),
  ]
  const trials = await describeSearch(model, search, [whole, ...settled.variants], context)
  return withFindings(explainSensitive(last.result, settled.floats), notes, { sensitivity, search: trials })
}

interface Ranking {
  readonly search: Search
  readonly layers: readonly Layer[]
  readonly ranked: readonly Sensitivity<Layer>[]
}

interface Settled {
  /** What was tried in turn; the last one fits the budget, or there is nothing left to take back. */
  readonly variants: readonly JudgedVariant[]
  readonly floats: readonly Layer[]
}

/** Losses don't quite add up: takes back the most sensitive of what is left until the measured loss fits. */
async function settle(
  { search, layers, ranked }: Ranking,
  first: readonly Layer[],
  signal: AbortSignal,
): Promise<Settled> {
  const floats = [...first]
  const variants: JudgedVariant[] = []
  for (;;) {
    signal.throwIfAborted()
    const result = await search.quantize(floats.map(({ name }) => name))
    const loss = result.modified ? await search.lossOf(result) : 0
    variants.push({ name: nameOf(layers.length - floats.length, layers.length), result, loss })
    const next = ranked.find(({ item }) => !floats.includes(item))
    if (loss <= search.budget || next === undefined) return { variants, floats }
    floats.push(next.item)
  }
}

interface Ranked {
  readonly search: Search
  readonly ranked: readonly Sensitivity<Layer>[]
  readonly rest: readonly Layer[]
  readonly whole: JudgedVariant
  readonly settled: Settled
}

function describeSensitivity(
  { search, ranked, rest, whole, settled }: Ranked,
  { savings }: PassContext,
): SensitivityReport {
  return {
    metric: search.metric,
    budget: search.budget,
    loss: finiteOrNull(whole.loss),
    settled_loss: finiteOrNull(settled.variants.at(-1)?.loss ?? whole.loss),
    untried: rest.map(({ name }) => name),
    layers: ranked.map(({ item, lossWithout, relief }, index) => ({
      rank: index + 1,
      node: item.name,
      op: item.op,
      loss_without: finiteOrNull(lossWithout),
      relief: finiteOrNull(relief),
      saves_us: savings?.get(item.name) ?? null,
      kept: settled.floats.includes(item) ? 'float' : 'int8',
    })),
  }
}

/** Variants that are timed against each other; beyond that, the ones tried last matter most. */
const maxRaced = 6
const raceMs = 2000

async function describeSearch(
  model: Model,
  { metric, budget }: Search,
  variants: readonly JudgedVariant[],
  context: PassContext,
) {
  const shown = variants.slice(-maxRaced)
  const [first, ...timings] = await raceVariants(
    model,
    shown.map(({ result }) => result.model),
    { budgetMs: raceMs, prefix: 'mixed' },
    context,
  )
  const trials = shown.map(({ name, loss }, index): SearchTrial => {
    const { speedup, ci95 } = asSpeedup(timings[index], first)
    const detail = `${metric} is ${loss.toPrecision(3)}`
    return { name, loss: finiteOrNull(loss), within_budget: loss <= budget, speedup, ci95, detail }
  })
  return { metric, budget, trials }
}

/** The pass below knows these layers as excluded; whoever reads its notes should know why. */
function explainSensitive(result: PassResult, floats: readonly Layer[]): PassResult {
  const names = new Set(floats.map(({ name }) => name))
  const notes = result.notes.map((note): Note => {
    if (note.action !== 'skipped' || !names.has(note.node ?? '')) return note
    return { ...note, cause: 'sensitive', reason: 'kept in float: the quality budget has no room for it in int8' }
  })
  return { ...result, notes }
}

function describeLayer({ item, relief }: Sensitivity<Layer>, rank: number, { metric }: Search, isFloat: boolean): Note {
  const reason = `sensitivity rank ${rank + 1}: in float it takes ${relief.toPrecision(3)} off the ${metric}; ${isFloat ? 'kept in float' : 'left in int8'}`
  return { node: item.name, op: item.op, action: 'info', reason }
}

function verdictNote({ metric, budget }: Search, loss: number, how: string): Note {
  const state = loss <= budget ? 'within' : 'over'
  return { action: 'info', reason: `${metric} is ${loss.toPrecision(3)} ${how}, ${state} the budget of ${budget}` }
}

function withFindings(result: PassResult, notes: readonly Note[], findings: PassResult['findings']): PassResult {
  return { ...result, notes: [...result.notes, ...notes], ...(findings && { findings }) }
}
