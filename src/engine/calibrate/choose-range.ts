import { affineParams, dequantizeValue, quantizeValue, type AffineOptions, type Range } from './affine.ts'
import { entropyRange } from './entropy.ts'
import { foldCounts, type Histogram } from './histogram.ts'

export type HistogramMethod = 'percentile' | 'entropy' | 'mse'

export interface RangeChoice {
  readonly method: HistogramMethod
  /** Share of the values, in percent, that a range of `percentile` covers. */
  readonly percentile: number
  /** What the range is for: `mse` weighs the error that this type makes; a symmetric one looks at |x| only. */
  readonly affine: AffineOptions
}

/** The range of a tensor from its histogram, never wider than what was seen. */
export function chooseRange(histogram: Histogram, seen: Range, choice: RangeChoice): Range {
  const chosen = choosers[choice.method](histogram, seen, choice)
  return { min: Math.max(chosen.min, seen.min), max: Math.min(chosen.max, seen.max) }
}

type Chooser = (histogram: Histogram, seen: Range, choice: RangeChoice) => Range

const choosers: Readonly<Record<HistogramMethod, Chooser>> = {
  percentile: (histogram, _seen, { percentile, affine }) =>
    affine.symmetric ? symmetricPercentile(histogram, percentile) : percentileRange(histogram, percentile),
  entropy: (histogram, seen) => entropyRange(histogram, Math.max(Math.abs(seen.min), Math.abs(seen.max))),
  mse: (histogram, seen, { affine }) => smallestError(histogram, seen, affine),
}

function symmetricPercentile(histogram: Histogram, percentile: number): Range {
  const counts = foldCounts(histogram)
  const max = (binsHolding(counts, percentile / 100) / counts.length) * histogram.threshold
  return { min: -max, max }
}

/** Cuts half of what the percentile leaves out at each end. */
function percentileRange({ counts, threshold }: Histogram, percentile: number): Range {
  const cut = (100 - percentile) / 200
  const half = counts.length / 2
  const edge = (bin: number) => ((bin - half) / half) * threshold
  const fromAbove = binsHolding(counts.toReversed(), 1 - cut)
  return { min: edge(counts.length - fromAbove), max: edge(binsHolding(counts, 1 - cut)) }
}

/** How many bins from the left hold at least `share` of everything. */
function binsHolding(counts: Float64Array, share: number): number {
  let all = 0
  for (const count of counts) all += count
  const wanted = share * all
  let sum = 0
  for (let bin = 0; bin < counts.length; bin += 1) {
    if (sum >= wanted) return bin
    sum += counts[bin] as number
  }
  return counts.length
}

const searchSteps = 64
const searchRounds = 2

/**
 * The range with the least squared error of quantizing and back. Both ends shrink from the extremes in steps of 1/64,
 * in turn when asymmetric, so that one far outlier doesn't decide both.
 */
function smallestError(histogram: Histogram, seen: Range, affine: AffineOptions): Range {
  const largest = Math.max(Math.abs(seen.min), Math.abs(seen.max))
  let best: Range = affine.symmetric
    ? { min: -largest, max: largest }
    : { min: Math.min(0, seen.min), max: Math.max(0, seen.max) }
  let error = squaredError(histogram, best, affine)
  const consider = (range: Range) => {
    const other = squaredError(histogram, range, affine)
    if (other < error) [best, error] = [range, other]
  }
  if (affine.symmetric) {
    for (const share of shares()) consider({ min: -largest * share, max: largest * share })
    return best
  }
  for (let round = 0; round < searchRounds; round += 1) {
    const { min, max } = best
    for (const share of shares()) consider({ min: best.min, max: max * share })
    for (const share of shares()) consider({ min: min * share, max: best.max })
  }
  return best
}

function shares(): number[] {
  return Array.from({ length: searchSteps - 1 }, (_, step) => (searchSteps - 1 - step) / searchSteps)
}

function squaredError({ counts, threshold }: Histogram, range: Range, affine: AffineOptions): number {
  const params = affineParams(range, affine)
  const half = counts.length / 2
  let sum = 0
  for (let bin = 0; bin < counts.length; bin += 1) {
    const count = counts[bin] as number
    if (count === 0) continue
    const value = ((bin + 0.5 - half) / half) * threshold
    const error = value - dequantizeValue(quantizeValue(value, params), params)
    sum += count * error * error
  }
  return sum
}
