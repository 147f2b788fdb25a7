import { bindDataset, type Dataset } from '../data/index.ts'
import type { Model } from '../ir/model.ts'
import { viewOf } from '../ir/tensor.ts'
import type { Feeds, Session } from '../runtime/port.ts'
import type { AffineOptions, Range } from './affine.ts'
import { chooseRange, type HistogramMethod } from './choose-range.ts'
import { mergeExtremes, type Extremes, type MergeRanges } from './extremes.ts'
import { addValues, createHistogram, createLanes, type Histogram } from './histogram.ts'
import { observeExtremes, observeValues } from './observe.ts'
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
 * Runs a dataset through the model and chooses a range for each tensor asked for. The extremes are computed inside the
 * graph; methods that need a histogram then run the data once more, so that its bins are known before the first value
 * is counted. Memory is bounded by two batches and the bins, however many samples there are, and no value is left out.
 * @throws HastenError `dataset_mismatch`, `dataset_invalid`, `run_failed`, `run_canceled`
 */
export async function collectRanges(
  model: Model,
  names: readonly string[],
  dataset: Dataset,
  options: CalibrationOptions,
  useSession: UseSession,
): Promise<Calibration> {
  const { method } = options
  const passes = isHistogramMethod(method) ? 2 : 1
  const extremes = await collectExtremes(model, names, dataset, watchedBy(options, passes, 0), useSession)
  if (!isHistogramMethod(method)) return extremes
  const counted = watchedBy(options, passes, extremes.samples)
  const histograms = await collectHistograms(model, extremes, dataset, counted, useSession)
  const { percentile, affine } = options
  const ranges = new Map<string, Range>()
  for (const [name, seen] of extremes.ranges) {
    const histogram = histograms.get(name)
    ranges.set(name, histogram === undefined ? seen : chooseRange(histogram, seen, { method, percentile, affine }))
  }
  return { ...extremes, ranges }
}

function isHistogramMethod(method: CalibrationMethod): method is HistogramMethod {
  return method !== 'minmax' && method !== 'moving_average'
}

/** The options with the progress of one of several passes over the data. */
function watchedBy(options: CalibrationOptions, passes: number, before: number): CalibrationOptions {
  return { ...options, progress: (done, total, unit) => options.progress(before + done, passes * total, unit) }
}

async function collectExtremes(
  original: Model,
  names: readonly string[],
  dataset: Dataset,
  options: CalibrationOptions,
  useSession: UseSession,
): Promise<Calibration> {
  const { model, observed } = observeExtremes(original, names)
  const outputs = observed.flatMap(({ low, high, sum }) => [low, high, sum])
  const merge = options.method === 'moving_average' ? movingAverage(options.averagingConstant) : widest
  return useSession(model, async (session) => {
    const state: Extremes = { ranges: new Map(), refused: new Map() }
    const { dataset: bound } = bindDataset(dataset, session.inputs)
    const samples = await runBatches(
      session,
      bound,
      { ...options, outputs },
      reporting(options, bound, (results) => {
        for (const each of observed) mergeExtremes(state, each, results, merge)
      }),
    )
    for (const name of state.refused.keys()) state.ranges.delete(name)
    return { ...state, samples }
  })
}

const widest: MergeRanges = (seen, { min, max }) => ({ min: Math.min(seen.min, min), max: Math.max(seen.max, max) })

function movingAverage(constant: number): MergeRanges {
  const towards = (from: number, to: number) => from + constant * (to - from)
  return (seen, { min, max }) => ({ min: towards(seen.min, min), max: towards(seen.max, max) })
}

async function collectHistograms(
  original: Model,
  { ranges }: Calibration,
  dataset: Dataset,
  options: CalibrationOptions,
  useSession: UseSession,
): Promise<ReadonlyMap<string, Histogram>> {
  const histograms = new Map<string, Histogram>()
  const lanes = createLanes()
  for (const [name, { min, max }] of ranges) {
    histograms.set(name, createHistogram(Math.max(Math.abs(min), Math.abs(max))))
  }
  await useSession(observeValues(original, [...ranges.keys()]), async (session) => {
    const { dataset: bound } = bindDataset(dataset, session.inputs)
    const given = new Set(session.outputs.map(({ name }) => name))
    const outputs = [...ranges.keys()].filter((name) => given.has(name))
    const take = reporting(options, bound, (results, feeds) => {
      for (const [name, histogram] of histograms) {
        const tensor = results[name] ?? feeds[name]
        if (tensor !== undefined) addValues(histogram, viewOf(tensor, 'float32'), lanes)
      }
    })
    return runBatches(session, bound, { ...options, outputs }, take)
  })
  return histograms
}

/** Tells how far a pass is after each batch. */
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
