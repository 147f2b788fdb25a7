import { HastenError } from '../../../errors.ts'
import { bindDataset } from '../../data/bind.ts'
import { batchesOf, type Batch, type Dataset } from '../../data/dataset.ts'
import type { Tensor } from '../../ir/tensor.ts'
import type { Feeds, Runtime, Session } from '../../runtime/port.ts'
import type { MeasuredModel } from '../protocol.ts'
import { createLabelTally, type LabelTally } from './labels.ts'
import { createPairTally, type PairTally } from './pair.ts'
import type { PairMetric, QualityMetric, QualityReport } from './report.ts'

export interface QualityOptions {
  readonly baseline: MeasuredModel
  readonly optimized: MeasuredModel
  /** As `openDataset` gives it; it is bound to the models' inputs here. The caller closes it. */
  readonly dataset: Dataset
  readonly runtime: Runtime
  /** Samples a run where the models take any number; 16 when absent. */
  readonly batch?: number
  /** Samples to use at most. */
  readonly limit?: number
  readonly seed?: number
  readonly signal?: AbortSignal
  readonly onProgress?: (done: number, total: number) => void
}

interface Tallies {
  readonly pairs: Map<string, PairTally>
  labels: LabelTally | undefined
  samples: number
}

const defaultBatch = 16

/**
 * Judges an optimized model: against the labels when the dataset has them, and always against the baseline's outputs.
 * Samples stream through both models; a few numbers a sample are kept.
 * @throws HastenError `dataset_mismatch` when the dataset or its labels don't fit, `measurement_failed` when the models'
 * outputs can't be compared, `job_canceled`, and what the runtime says
 */
export async function measureQuality(options: QualityOptions): Promise<QualityReport> {
  const { runtime, baseline, optimized } = options
  const reference = await openSession(runtime, baseline)
  try {
    const candidate = await openSession(runtime, optimized)
    try {
      return await compareSessions(reference, candidate, options)
    } finally {
      await candidate.release()
    }
  } finally {
    await reference.release()
  }
}

async function compareSessions(
  reference: Session,
  candidate: Session,
  options: QualityOptions,
): Promise<QualityReport> {
  const { signal, onProgress, seed = 1, limit = Number.POSITIVE_INFINITY } = options
  const { dataset } = bindDataset(options.dataset, reference.inputs)
  const total = Math.min(dataset.samples, limit)
  const tallies: Tallies = { pairs: new Map(), labels: undefined, samples: 0 }
  const shape = { samples: dataset.samples, fixedBatch: agreeOnBatch(options.dataset, dataset, candidate) }
  for (const batch of batchesOf(shape, options.batch ?? defaultBatch, limit)) {
    if (signal?.aborted === true) throw abortReason(signal)
    await addBatch(tallies, batch, dataset, await dataset.read(batch.start, batch.count), [reference, candidate])
    onProgress?.(tallies.samples, total)
  }
  if (tallies.samples === 0) throw new HastenError('dataset_mismatch', 'the dataset has fewer samples than a run takes')
  return assembleReport(tallies, seed)
}

/** Both models get the same runs, so a batch fixed in either is fixed for both. */
function agreeOnBatch(dataset: Dataset, bound: Dataset, candidate: Session): number | null {
  const other = bindDataset(dataset, candidate.inputs).dataset.fixedBatch
  if (bound.fixedBatch === null || other === null || bound.fixedBatch === other) return bound.fixedBatch ?? other
  const detail = `the baseline takes ${bound.fixedBatch} samples a run and the optimized model ${other}`
  throw new HastenError('measurement_failed', detail)
}

async function addBatch(
  tallies: Tallies,
  { start, count }: Batch,
  dataset: Dataset,
  feeds: Feeds,
  [reference, candidate]: readonly [Session, Session],
): Promise<void> {
  const expected = await reference.run(feeds)
  const actual = await candidate.run(feeds)
  for (const [name, tensor] of Object.entries(expected)) {
    const tally = tallies.pairs.get(name) ?? createPairTally(name)
    tallies.pairs.set(name, tally)
    tally.add(tensor, pick(actual, name), count)
  }
  const labels = await dataset.labels(start, count)
  if (labels !== undefined) {
    tallies.labels ??= createLabelTally(labels, expected, count)
    const { output } = tallies.labels
    tallies.labels.add(pick(expected, output), pick(actual, output), labels)
  }
  tallies.samples += count
}

function pick(outputs: Readonly<Record<string, Tensor>>, name: string): Tensor {
  const tensor = outputs[name]
  if (tensor === undefined) throw new HastenError('measurement_failed', `the optimized model has no output "${name}"`)
  return tensor
}

function assembleReport({ pairs, labels, samples }: Tallies, seed: number): QualityReport {
  const judged = labels?.finish(seed) ?? []
  const compared = [...pairs.values()].flatMap((tally) => tally.finish(seed))
  const outputs = [...judged, ...compared]
  return { task: labels?.task ?? 'agreement', samples, metrics: [...judged, ...worstOf(compared)], outputs }
}

/** The sign that makes larger worse. */
const worseSign: Readonly<Record<PairMetric, number>> = { agreement: -1, cosine: -1, sqnr: -1, max_abs: 1, kl: 1 }

function worstOf(rows: readonly QualityMetric[]): QualityMetric[] {
  return (Object.keys(worseSign) as PairMetric[]).flatMap((metric) => {
    const sign = worseSign[metric]
    const found = rows.filter((row) => row.metric === metric)
    return found.toSorted((a, b) => sign * (b.optimized - a.optimized)).slice(0, 1)
  })
}

function openSession(runtime: Runtime, { path, session }: MeasuredModel): Promise<Session> {
  return runtime.createSession({ path }, session === undefined ? {} : { session })
}

function abortReason({ reason }: AbortSignal): HastenError {
  return reason instanceof HastenError ? reason : new HastenError('job_canceled', 'canceled while measuring')
}
