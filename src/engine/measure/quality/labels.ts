import { HastenError } from '../../../errors.ts'
import { elementCount, type NumericTensor, type Tensor } from '../../ir/tensor.ts'
import { estimateInterval, weightedMean, worstError, type SampleStatistic } from './estimate.ts'
import { macroF1, type Predictions } from './f1.ts'
import { isFloat, isInteger, numbersOf } from './numbers.ts'
import type { LabelMetric, QualityMetric, QualityTask } from './report.ts'
import { argmax, rankOf } from './scores.ts'

/** Metrics against labels, gathered batch by batch. */
export interface LabelTally {
  readonly task: QualityTask
  /** The output that the labels judge. */
  readonly output: string
  add(baseline: Tensor, optimized: Tensor, labels: Tensor): void
  finish(seed: number): QualityMetric[]
}

type Outputs = Readonly<Record<string, Tensor>>

/**
 * Chooses the task by the labels, and the first output that fits it:
 * - integers, one a sample, and a float output `[samples, classes]`: classification by the highest score (top1, top5
 *   with more than five classes, macro F1);
 * - integers, one a sample, and an integer output with one a sample: classification by that prediction (top1, F1);
 * - floats, and a float output with as many values a sample: regression (MAE, MSE).
 * @throws HastenError `dataset_mismatch` when no output fits
 */
export function createLabelTally(labels: Tensor, outputs: Outputs, count: number): LabelTally {
  const size = elementCount(labels.dims.slice(1))
  const fits = (test: (tensor: Tensor) => boolean) =>
    Object.entries(outputs).find(([, tensor]) => tensor.dims[0] === count && test(tensor))?.[0]
  if (isFloat(labels)) {
    const output = fits((tensor) => isFloat(tensor) && elementCount(tensor.dims.slice(1)) === size)
    if (output !== undefined) return createRegression(output)
  }
  if (isInteger(labels) && size === 1) {
    const scores = fits((tensor) => isFloat(tensor) && tensor.dims.length === 2 && (tensor.dims[1] ?? 0) > 1)
    if (scores !== undefined) return createClassification(scores)
    const predictions = fits((tensor) => isInteger(tensor) && elementCount(tensor.dims.slice(1)) === 1)
    if (predictions !== undefined) return createClassification(predictions)
  }
  throw new HastenError('dataset_mismatch', describeMisfit(labels, outputs))
}

function describeMisfit(labels: Tensor, outputs: Outputs): string {
  const shown = Object.entries(outputs).map(([name, { dtype, dims }]) => `${name} ${dtype} [${dims.join(', ')}]`)
  const form = `${labels.dtype} [${['samples', ...labels.dims.slice(1)].join(', ')}]`
  return `labels of ${form} fit no output of the model (${shown.join('; ')})`
}

function createClassification(output: string): LabelTally {
  const predictions: Predictions = { labels: [], baseline: [], optimized: [] }
  const top1 = createColumns()
  const top5 = createColumns()
  return {
    task: 'classification',
    output,
    add(baseline, optimized, labels) {
      const wanted = Array.from(numbersOf(labels as NumericTensor))
      predictions.labels.push(...wanted)
      for (const [side, tensor] of [
        ['baseline', baseline],
        ['optimized', optimized],
      ] as const) {
        const judged = judgeBatch(tensor as NumericTensor, wanted)
        predictions[side].push(...judged.predicted)
        top1[side].push(...judged.predicted.map((label, index) => Number(label === wanted[index])))
        top5[side].push(...judged.ranks.map((rank) => Number(rank < 5)))
      }
    },
    finish: (seed) => [
      ...compareMeans('top1', output, top1, seed),
      ...compareMeans('top5', output, top5, seed),
      compareF1(output, predictions, seed),
    ],
  }
}

interface Judged {
  readonly predicted: number[]
  /** Of the label among the scores; empty when there are five classes or fewer, or predictions only. */
  readonly ranks: number[]
}

function judgeBatch(tensor: NumericTensor, labels: readonly number[]): Judged {
  const values = numbersOf(tensor)
  if (!isFloat(tensor)) return { predicted: Array.from(values), ranks: [] }
  const classes = tensor.dims[1] ?? 0
  const odd = labels.find((label) => label < 0 || label >= classes)
  if (odd !== undefined) throw new HastenError('dataset_mismatch', `label ${odd} is outside the ${classes} classes`)
  const rows = labels.map((_, index) => ({ values, start: index * classes, length: classes }))
  const ranks = classes > 5 ? rows.map((row, index) => rankOf(row, labels[index] ?? 0)) : []
  return { predicted: rows.map(argmax), ranks }
}

function createRegression(output: string): LabelTally {
  const absolute = createColumns()
  const squared = createColumns()
  return {
    task: 'regression',
    output,
    add(baseline, optimized, labels) {
      const wanted = numbersOf(labels as NumericTensor)
      const size = elementCount(labels.dims.slice(1))
      for (const [side, tensor] of [
        ['baseline', baseline],
        ['optimized', optimized],
      ] as const) {
        const values = numbersOf(tensor as NumericTensor)
        absolute[side].push(...meanErrors(values, wanted, size, Math.abs))
        squared[side].push(...meanErrors(values, wanted, size, (error) => error * error))
      }
    },
    finish: (seed) => [...compareMeans('mae', output, absolute, seed), ...compareMeans('mse', output, squared, seed)],
  }
}

function meanErrors(
  values: ArrayLike<number>,
  wanted: ArrayLike<number>,
  size: number,
  cost: (error: number) => number,
) {
  return Array.from({ length: wanted.length / size }, (_, sample) => {
    let sum = 0
    for (let index = sample * size; index < (sample + 1) * size; index += 1) {
      sum += cost((values[index] ?? Number.NaN) - (wanted[index] ?? Number.NaN))
    }
    return sum / size < worstError ? sum / size : worstError
  })
}

interface Columns {
  readonly baseline: number[]
  readonly optimized: number[]
}

function createColumns(): Columns {
  return { baseline: [], optimized: [] }
}

function compareMeans(metric: LabelMetric, output: string, columns: Columns, seed: number): QualityMetric[] {
  const { length } = columns.baseline
  if (length === 0) return []
  const [baseline, optimized] = [weightedMean(columns.baseline), weightedMean(columns.optimized)]
  return [compareStatistics(metric, output, length, [baseline, optimized], seed)]
}

function compareF1(output: string, predictions: Predictions, seed: number): QualityMetric {
  const statistics = [macroF1(predictions, 'baseline'), macroF1(predictions, 'optimized')] as const
  return compareStatistics('f1', output, predictions.labels.length, statistics, seed)
}

/** Both models see the same resample, so what the samples have in common cancels in the difference. */
function compareStatistics(
  metric: LabelMetric,
  output: string,
  samples: number,
  [baseline, optimized]: readonly [SampleStatistic, SampleStatistic],
  seed: number,
): QualityMetric {
  const values = { baseline: baseline(), optimized: optimized() }
  const ci95 = estimateInterval(samples, seed, (weights) => optimized(weights) - baseline(weights))
  return { metric, output, ...values, delta: values.optimized - values.baseline, ci95 }
}
