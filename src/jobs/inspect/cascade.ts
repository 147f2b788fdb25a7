import {
  batchesOf,
  bindDataset,
  cascadeTable,
  classesOf,
  confidencesOf,
  numbersOf,
  openDataset,
  type CascadeSample,
  type Dataset,
  type Feeds,
  type NumericTensor,
  type ScoreScale,
  type Tensor,
} from '../../engine/index.ts'
import { HastenError } from '../../errors.ts'
import type { CascadeInspection, CascadeSubject } from './contract.ts'
import { fetchFile, placeOf, type InspectContext } from './files.ts'
import { predict } from './predict.ts'

/**
 * Asks both versions of a cascade about the samples of a dataset, in turn so that what slows the host down slows both,
 * and says what each threshold would do. Right is what the labels say; without labels, what the large version says.
 * @throws HastenError `dataset_mismatch`, `dataset_invalid`, and what `predict` throws
 */
export async function processCascade(context: InspectContext, subject: CascadeSubject): Promise<CascadeInspection> {
  await fetchFile(context, subject.file)
  const options = { spoolDirectory: context.workDir, ...(subject.label === undefined ? {} : { label: subject.label }) }
  const dataset = await openDataset(placeOf(context, subject.file.name), options)
  try {
    const bound = bindDataset(dataset, subject.inputs as Parameters<typeof bindDataset>[1])
    return await evaluate(context, subject, bound.dataset)
  } finally {
    await dataset.close()
  }
}

async function evaluate(
  { signal }: InspectContext,
  subject: CascadeSubject,
  dataset: Dataset,
): Promise<CascadeInspection> {
  const samples: CascadeSample[] = []
  const times = { small: [] as number[], large: [] as number[] }
  let isTurned = false
  for (const { start, count } of batchesOf(dataset, 1, subject.samples)) {
    const feeds = await dataset.read(start, count)
    const [small, large] = await askBoth(subject, feeds, isTurned, signal)
    isTurned = !isTurned
    times.small.push(small.runMs / count)
    times.large.push(large.runMs / count)
    samples.push(...judge(subject.scores, small.output, large.output, await dataset.labels(start, count), count))
  }
  if (samples.length === 0) throw new HastenError('dataset_mismatch', 'the dataset has fewer samples than a run takes')
  const [smallMs, largeMs] = [median(times.small), median(times.large)]
  const table = cascadeTable(samples, { smallMs, largeMs, minAccuracy: subject.minAccuracy })
  const judgedBy = dataset.schema.labels === null ? 'large' : 'labels'
  return { ...table, samples: samples.length, judgedBy, smallMs, largeMs }
}

async function askBoth(subject: CascadeSubject, feeds: Feeds, isTurned: boolean, signal: AbortSignal) {
  const { url, name, authorization, output } = subject
  const [small, large] = subject.versions.map((version) => {
    const endpoint = { url, name, version: String(version), authorization }
    return () => predict(endpoint, feeds, output as Parameters<typeof predict>[2], signal)
  })
  if (small === undefined || large === undefined) throw new HastenError('internal', 'a cascade has two versions')
  if (!isTurned) return [await small(), await large()] as const
  const second = await large()
  return [await small(), second] as const
}

function judge(
  scale: ScoreScale,
  small: NumericTensor,
  large: NumericTensor,
  labels: Tensor | undefined,
  count: number,
): CascadeSample[] {
  const confidences = confidencesOf(small, count, scale)
  const [first, second] = [classesOf(small, count, scale), classesOf(large, count, scale)]
  const truth = labels === undefined ? second : classesOfLabels(labels, count)
  return Array.from({ length: count }, (_, row) => {
    const isRight = (classes: readonly number[] | undefined) => classes?.join() === truth[row]?.join()
    if (truth[row]?.length !== first[row]?.length) throw mislabeled(truth[row]?.length, first[row]?.length)
    return {
      confidence: confidences[row] ?? 0,
      smallRight: isRight(first[row]),
      largeRight: isRight(second[row]),
    }
  })
}

function classesOfLabels(labels: Tensor, count: number): number[][] {
  if (labels.dtype === 'string') throw new HastenError('dataset_mismatch', 'the labels are text, not classes')
  const values = Array.from(numbersOf(labels))
  const each = values.length / count
  return Array.from({ length: count }, (_, row) => values.slice(row * each, (row + 1) * each))
}

function mislabeled(labels = 0, predictions = 0): HastenError {
  return new HastenError(
    'dataset_mismatch',
    `a sample has ${labels} labels, and the output makes ${predictions} predictions of it`,
  )
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  return sorted.length % 2 === 1 ? (sorted[middle] ?? 0) : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2
}
