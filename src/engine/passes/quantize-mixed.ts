import { HastenError } from '../../errors.ts'
import type { Model } from '../ir/model.ts'
import { measureReverts, selectChanges, type Sensitivity } from '../search/index.ts'
import { openJudge, type Judge } from './judge-variant.ts'
import { definePass, type Note, type PassContext, type PassOptions, type PassResult } from './pass.ts'
import { quantizeStaticPass } from './quantize-static.ts'
import { runPass } from './run-pass.ts'

type Options = PassOptions<'quantize.mixed'>

/** int8 where the quality budget allows it: layers are taken back by how much they hurt and how little they gain. */
export const quantizeMixedPass = definePass({
  name: 'quantize.mixed',
  stage: 'optimize',
  version: 1,
  async run(model, options, context) {
    const search = await openSearch(model, options, context)
    const full = await search.quantize([])
    const layers = layersOf(full)
    if (layers.length === 0) return full
    const loss = await search.lossOf(full)
    const { budget } = search
    if (loss <= budget) return withNotes(full, [verdictNote(search, loss, 'with every layer in int8')])
    return revertLayers({ search, layers, loss }, options, context)
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

interface Found {
  readonly search: Search
  readonly layers: readonly Layer[]
  /** With every layer in int8. */
  readonly loss: number
}

async function revertLayers(
  { search, layers, loss }: Found,
  options: Options,
  context: PassContext,
): Promise<PassResult> {
  const gainOf = ({ name }: Layer) => Math.max(0, context.savings?.get(name) ?? 1)
  const byGain = layers.toSorted((a, b) => gainOf(b) - gainOf(a))
  const [tried, rest] = [byGain.slice(0, options.maxNodes), byGain.slice(options.maxNodes)]
  const ranked = await measureReverts(tried, loss, async ({ name }) => search.lossOf(await search.quantize([name])), {
    signal: context.signal,
    progress: (done, total) => context.progress(done, total, 'layers'),
  })
  const items = ranked.map(({ item, relief }) => ({ gain: gainOf(item), loss: Math.max(0, relief) }))
  const kept = selectChanges(items, search.budget)
  const floats = [...ranked.filter((_, index) => !kept.includes(index)).map(({ item }) => item), ...rest]
  const settled = await settle(search, ranked, floats, context.signal)
  return withNotes(settled.result, [
    ...ranked.map((each, index) => describeLayer(each, index, search, settled.floats.includes(each.item))),
    verdictNote(
      search,
      settled.loss,
      `with ${layers.length - settled.floats.length} of ${layers.length} layers in int8`,
    ),
  ])
}

/** Losses don't quite add up: takes back the most sensitive of what is left until the measured loss fits. */
async function settle(
  search: Search,
  ranked: readonly Sensitivity<Layer>[],
  first: readonly Layer[],
  signal: AbortSignal,
) {
  const floats = [...first]
  for (;;) {
    signal.throwIfAborted()
    const result = await search.quantize(floats.map(({ name }) => name))
    const loss = result.modified ? await search.lossOf(result) : 0
    const next = ranked.find(({ item }) => !floats.includes(item))
    if (loss <= search.budget || next === undefined) return { result, loss, floats }
    floats.push(next.item)
  }
}

function describeLayer({ item, relief }: Sensitivity<Layer>, rank: number, { metric }: Search, isFloat: boolean): Note {
  const reason = `sensitivity rank ${rank + 1}: in float it takes ${relief.toPrecision(3)} off the ${metric}; ${isFloat ? 'kept in float' : 'left in int8'}`
  return { node: item.name, op: item.op, action: 'info', reason }
}

function verdictNote({ metric, budget }: Search, loss: number, how: string): Note {
  const state = loss <= budget ? 'within' : 'over'
  return { action: 'info', reason: `${metric} is ${loss.toPrecision(3)} ${how}, ${state} the budget of ${budget}` }
}

function withNotes(result: PassResult, notes: readonly Note[]): PassResult {
  return { ...result, notes: [...result.notes, ...notes] }
}
