import { bindDataset, type Dataset } from '../data/index.ts'
import type { Model } from '../ir/model.ts'
import { viewOf, type Tensor } from '../ir/tensor.ts'
import type { Feeds, Session } from '../runtime/port.ts'
import type { AffineOptions, Range } from './affine.ts'
import { chooseRange, type HistogramMethod } from './choose-range.ts'
import { mergeExtremes, refuseValue, type Extremes, type MergeRanges } from './extremes.ts'
import { addValues, createHistogram, createLanes, growHistogram, type Histogram, type Lanes } from './histogram.ts'
import { observationKey, type ObservationKind } from './observation-key.ts'
import type { Observations, ObservationStore } from './observations.ts'
import { observeValues, type Observed } from './observe.ts'
import { runBatches } from './run-batches.ts'

type CalibrationMethod = 'minmax' | 'moving_average' | HistogramMethod

export interface CalibrationOptions {
  readonly method: CalibrationMethod
  /** Share of the values, in percent, that `percentile` covers. */
  readonly percentile: number
  /** How far `moving_average` goes towards the extremes of the next batch. */
  readonly averagingConstant: number
  /** Type the ranges are for. */
  readonly affine: AffineOptions
  /** Samples to run at most. */
  readonly samples: number
  /** Samples in one run, where the model allows that. */
  readonly batch: number
  readonly signal: AbortSignal
  readonly progress: (done: number, total: number, unit: string) => void
  /** What runs on this dataset saw before. */
  readonly store?: ObservationStore | undefined
}

/** Lends a session of a model. */
export type UseSession = <T>(model: Model, use: (session: Session) => Promise<T>) => Promise<T>

/** Ranges by value name. Values that are not float32, or took a value that is not finite, have none. */
export interface Calibration {
  readonly ranges: ReadonlyMap<string, Range>
  /** Why a value has no range. */
  readonly refused: ReadonlyMap<string, string>
  readonly samples: number
}

/**
 * Runs a dataset through the model once and chooses a range for each tensor asked for. The extremes are computed inside
 * the graph; methods that need a histogram count the values as they come, in bins that widen when a larger value
 * appears. Memory is bounded by two batches and the bins, however many samples there are, and no value is left out.
 * Nothing runs when the options have a store that knows what such a run sees.
 * @throws HastenError `dataset_mismatch`, `dataset_invalid`, `run_failed`, `run_canceled`
 */
export async function collectRanges(
  original: Model,
  names: readonly string[],
  dataset: Dataset,
  options: CalibrationOptions,
  useSession: UseSession,
): Promise<Calibration> {
  const { store } = options
  const observe = () => observeDataset(original, names, dataset, options, useSession)
  if (store === undefined) return chooseAll(await observe(), options)
  const key = observationKey(original, names, { of: neededOf(options), samples: options.samples, batch: options.batch })
  const known = await store.find(key)
  if (known !== undefined) return chooseAll(known, options)
  const seen = await observe()
  await store.put(key, seen)
  return chooseAll(seen, options)
}

function neededOf({ method, averagingConstant }: CalibrationOptions): ObservationKind['of'] {
  if (method === 'moving_average') return { average: averagingConstant }
  return method === 'minmax' ? 'extremes' : 'counts'
}

async function observeDataset(
  original: Model,
  names: readonly string[],
  dataset: Dataset,
  options: CalibrationOptions,
  useSession: UseSession,
): Promise<Observations> {
  const { method } = options
  const whole = neededOf(options) === 'counts'
  const { model, observed, refused } = observeValues(original, names, { whole })
  const merge = method === 'moving_average' ? movingAverage(options.averagingConstant) : widest
  const state: Extremes = { ranges: new Map(), refused: new Map(refused) }
  const histograms: Histograms = { byName: new Map(), lanes: createLanes() }
  const samples = await unpackBeside(dataset, useSession, model, async (session) => {
    const { dataset: bound } = bindDataset(dataset, session.inputs)
    const outputs = neededOutputs(session, observed, whole)
    return runBatches(
      session,
      bound,
      { ...options, outputs },
      reporting(options, bound, (results, feeds) => {
        for (const each of observed) {
          const extremes = mergeExtremes(state, each, results, merge)
          const values = each.values === undefined ? undefined : (results[each.values] ?? feeds[each.values])
          if (!whole || values === undefined || state.refused.has(each.name)) continue
          if (!count(histograms, each.name, extremes, values)) refuseValue(state.refused, each.name, Number.NaN)
        }
      }),
    )
  })
  for (const name of state.refused.keys()) state.ranges.delete(name)
  return { ...state, histograms: histograms.byName, samples }
}

/** Unpacks the dataset while the session is created, and has ended when this has: nothing is read from a closed file. */
async function unpackBeside<T>(
  dataset: Dataset,
  useSession: UseSession,
  model: Model,
  use: (session: Session) => Promise<T>,
): Promise<T> {
  // What goes wrong here goes wrong again at the first read, where it is heard.
  const unpacking = Promise.allSettled([dataset.unpack()])
  try {
    return await useSession(model, use)
  } finally {
    await unpacking
  }
}

interface Histograms {
  readonly byName: Map<string, Histogram>
  readonly lanes: Lanes
}

/** Counts values that are not infinite, and says whether all were numbers. */
function count({ byName, lanes }: Histograms, name: string, extremes: Range | undefined, values: Tensor): boolean {
  const elements = viewOf(values, 'float32')
  // Without extremes there was no number: nothing at all, or only NaN.
  if (extremes === undefined) return elements.length === 0
  const largest = Math.max(Math.abs(extremes.min), Math.abs(extremes.max))
  const histogram = byName.get(name) ?? createHistogram(largest)
  byName.set(name, histogram)
  growHistogram(histogram, largest)
  return addValues(histogram, elements, lanes)
}

function chooseAll(
  { ranges, refused, histograms, samples }: Observations,
  { method, percentile, affine }: CalibrationOptions,
): Calibration {
  if (method === 'minmax' || method === 'moving_average') return { ranges, refused, samples }
  const chosen = new Map<string, Range>()
  for (const [name, range] of ranges) {
    const histogram = histograms.get(name)
    chosen.set(name, histogram === undefined ? range : chooseRange(histogram, range, { method, percentile, affine }))
  }
  return { ranges: chosen, refused, samples }
}

/** The extremes, and of the values themselves those that are outputs: the others are inputs, and at hand. */
function neededOutputs(session: Session, observed: readonly Observed[], whole: boolean): string[] {
  const given = new Set(session.outputs.filter(({ dtype }) => dtype === 'float32').map(({ name }) => name))
  const values = whole ? observed.flatMap((each) => each.values ?? []).filter((name) => given.has(name)) : []
  return [...observed.flatMap(({ low, high, sum }) => [low, high, sum ?? []].flat()), ...values]
}

const widest: MergeRanges = (seen, { min, max }) => ({ min: Math.min(seen.min, min), max: Math.max(seen.max, max) })

function movingAverage(constant: number): MergeRanges {
  const towards = (from: number, to: number) => from + constant * (to - from)
  return (seen, { min, max }) => ({ min: towards(seen.min, min), max: towards(seen.max, max) })
}

/** Tells how far calibration is after each batch. */
function reporting(
  { samples, progress }: CalibrationOptions,
  dataset: Dataset,
  take: (outputs: Feeds, feeds: Feeds) => void,
) {
  let done = 0
  const total = Math.min(samples, dataset.samples)
  return (outputs: Feeds, feeds: Feeds, count: number): void => {
    take(outputs, feeds)
    done += count
    progress(done, total, 'samples')
  }
}
