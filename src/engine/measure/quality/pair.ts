import type { NumericTensor, StringTensor, Tensor } from '../../ir/tensor.ts'
import { estimateInterval, weightedMean, worstError, type SampleStatistic } from './estimate.ts'
import { isFloat, numbersOf } from './numbers.ts'
import type { PairMetric, QualityMetric } from './report.ts'
import { argmax, detectScores, divergence, type Row, type ScoreKind } from './scores.ts'

/** Agreement of two models on one output, gathered batch by batch: a few numbers a sample are kept. */
export interface PairTally {
  add(baseline: Tensor, optimized: Tensor, count: number): void
  finish(seed: number): QualityMetric[]
}

/**
 * SQNR at which outputs count as equal: float32 can't come near it unless they are, and unlike infinity it is a number
 * in JSON.
 */
export const maxSqnr = 200

/** An optimized probability of zero where the baseline is certain: -ln(1e-12). */
const worstDivergence = 27.631

interface SampleRows {
  /** Scores per row; 0 when the output holds no class scores. */
  readonly classes: number
  readonly kind: ScoreKind
}

interface Columns {
  readonly agreement: number[]
  readonly cosine: number[]
  readonly signal: number[]
  readonly error: number[]
  readonly kl: number[]
  maxAbs: number
}

/**
 * A tally for the output `name`. Floats: cosine (mean over the samples), max_abs, SQNR (of all samples together); class
 * scores also agreement (of the highest class) and kl. Integers, bools and text: agreement (equal elements), and max_abs
 * for numbers.
 *
 * Class scores are outputs `[samples, classes]`, and those of three axes whose last one adds up to one. An output without
 * a sample axis counts as one sample a run.
 */
export function createPairTally(name: string): PairTally {
  const columns: Columns = { agreement: [], cosine: [], signal: [], error: [], kl: [], maxAbs: 0 }
  let rows: SampleRows | undefined
  let isNumeric = false
  return {
    add(baseline, optimized, count) {
      const units = baseline.dims[0] === count ? count : 1
      isNumeric = baseline.dtype !== 'string'
      if (!hasSameShape(baseline, optimized)) return addMismatch(columns, baseline, units)
      if (baseline.dtype === 'string') return addTexts(columns, baseline, optimized as StringTensor, units)
      const pair = [numbersOf(baseline), numbersOf(optimized as NumericTensor)] as const
      if (!isFloat(baseline)) return addIntegers(columns, pair, units)
      rows ??= findRows(baseline, pair[0])
      addFloats(columns, pair, units)
      if (rows.classes > 0) addScores(columns, pair, units, rows)
    },
    finish: (seed) => summarize(name, columns, isNumeric, seed),
  }
}

type Pair = readonly [baseline: ArrayLike<number>, optimized: ArrayLike<number>]

function hasSameShape(a: Tensor, b: Tensor): boolean {
  const sameKind = isFloat(a) === isFloat(b) && (a.dtype === 'string') === (b.dtype === 'string')
  return sameKind && a.dims.length === b.dims.length && a.dims.every((dim, axis) => dim === b.dims[axis])
}

/** Outputs of different shapes (a detector that finds another number of boxes) agree in nothing. */
function addMismatch(columns: Columns, baseline: Tensor, units: number): void {
  columns.maxAbs = worstError
  for (let unit = 0; unit < units; unit += 1) {
    columns.agreement.push(0)
    if (!isFloat(baseline)) continue
    columns.cosine.push(0)
    columns.signal.push(0)
    columns.error.push(worstError)
  }
}

function addTexts(columns: Columns, baseline: StringTensor, optimized: StringTensor, units: number): void {
  const size = baseline.strings.length / units
  for (let unit = 0; unit < units; unit += 1) {
    const texts = baseline.strings.slice(unit * size, (unit + 1) * size)
    const equal = texts.filter((text, index) => isSameText(text, optimized.strings[unit * size + index]))
    columns.agreement.push(size === 0 ? 1 : equal.length / size)
  }
}

function isSameText(a: Uint8Array, b: Uint8Array | undefined): boolean {
  return b !== undefined && Buffer.compare(a, b) === 0
}

function addIntegers(columns: Columns, [a, b]: Pair, units: number): void {
  const size = a.length / units
  for (let unit = 0; unit < units; unit += 1) {
    let equal = 0
    for (let index = unit * size; index < (unit + 1) * size; index += 1) {
      const difference = Math.abs((a[index] ?? 0) - (b[index] ?? 0))
      columns.maxAbs = Math.max(columns.maxAbs, difference)
      if (difference === 0) equal += 1
    }
    columns.agreement.push(size === 0 ? 1 : equal / size)
  }
}

function addFloats(columns: Columns, [a, b]: Pair, units: number): void {
  const size = a.length / units
  for (let unit = 0; unit < units; unit += 1) {
    let [dot, normA, normB, error] = [0, 0, 0, 0]
    for (let index = unit * size; index < (unit + 1) * size; index += 1) {
      const x = a[index] ?? 0
      const y = b[index] ?? 0
      const difference = differenceOf(x, y)
      columns.maxAbs = Math.max(columns.maxAbs, difference)
      error += difference * difference
      // Equal infinities or NaNs are no difference, but no signal either.
      if (!Number.isFinite(x) && difference === 0) continue
      dot += x * y
      normA += x * x
      normB += y * y
    }
    columns.cosine.push(cosineOf(dot, normA, normB))
    columns.signal.push(normA)
    columns.error.push(error)
  }
}

function differenceOf(x: number, y: number): number {
  if (Object.is(x, y)) return 0
  const difference = Math.abs(x - y)
  return difference < worstError ? difference : worstError
}

function cosineOf(dot: number, normA: number, normB: number): number {
  if (normA === 0 && normB === 0) return 1
  const cosine = dot / Math.sqrt(normA * normB)
  return Number.isFinite(cosine) ? Math.max(-1, Math.min(1, cosine)) : 0
}

function findRows(baseline: NumericTensor, values: ArrayLike<number>): SampleRows {
  const rank = baseline.dims.length
  const classes = baseline.dims.at(-1) ?? 0
  if (rank < 2 || rank > 3 || classes < 2) return { classes: 0, kind: 'logits' }
  const kind = detectScores(values, classes)
  return rank === 3 && kind === 'logits' ? { classes: 0, kind } : { classes, kind }
}

function addScores(columns: Columns, [a, b]: Pair, units: number, { classes, kind }: SampleRows): void {
  const rows = a.length / classes / units
  for (let unit = 0; unit < units; unit += 1) {
    let [agreed, total] = [0, 0]
    for (let row = 0; row < rows; row += 1) {
      const start = (unit * rows + row) * classes
      const reference: Row = { values: a, start, length: classes }
      const other: Row = { values: b, start, length: classes }
      if (argmax(reference) === argmax(other)) agreed += 1
      const kl = divergence(reference, other, kind)
      total += Number.isNaN(kl) ? worstDivergence : kl
    }
    columns.agreement.push(agreed / rows)
    columns.kl.push(total / rows)
  }
}

function summarize(output: string, columns: Columns, isNumeric: boolean, seed: number): QualityMetric[] {
  const row = (metric: PairMetric, samples: number, statistic: SampleStatistic): QualityMetric[] => {
    if (samples === 0) return []
    const ci95 = estimateInterval(samples, seed, statistic)
    return [{ metric, output, baseline: null, optimized: statistic(), delta: null, ci95 }]
  }
  const mean = (metric: PairMetric, values: readonly number[]) => row(metric, values.length, weightedMean(values))
  // No interval: a maximum over the samples seen says nothing of those not seen.
  const maxAbs = {
    metric: 'max_abs',
    output,
    baseline: null,
    optimized: columns.maxAbs,
    delta: null,
    ci95: null,
  } as const
  return [
    ...mean('agreement', columns.agreement),
    ...mean('cosine', columns.cosine),
    ...(isNumeric ? [maxAbs] : []),
    ...row('sqnr', columns.signal.length, sqnrOf(columns)),
    ...mean('kl', columns.kl),
  ]
}

/** Signal to quantization noise, 10 log10(Σ x² / Σ (x − y)²) in decibels, within ±`maxSqnr`. */
function sqnrOf({ signal, error }: Columns): SampleStatistic {
  const [meanSignal, meanError] = [weightedMean(signal), weightedMean(error)]
  return (weights) => {
    const noise = meanError(weights)
    if (noise === 0) return maxSqnr
    return Math.max(-maxSqnr, Math.min(maxSqnr, 10 * Math.log10(meanSignal(weights) / noise)))
  }
}
