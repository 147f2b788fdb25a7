import { affineParams, dequantizeValue, quantizeValue, type AffineOptions, type Range } from './affine.ts'
import { entropyRange } from './entropy.ts'
import type { Histogram } from './histogram.ts'

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

function symmetricPercentile({ counts, threshold }: Histogram, percentile: number): Range {
  const half = counts.length / 2
  const folded = (bin: number) => (counts[half + bin] as number) + (counts[half - 1 - bin] as number)
  const max = (binsHolding(folded, half, totalOf(counts), percentile / 100) / half) * threshold
  return { min: -max, max }
}

/** Cuts half of what the percentile leaves out at each end. */
function percentileRange({ counts, threshold }: Histogram, percentile: number): Range {
  const share = 1 - (100 - percentile) / 200
  const half = counts.length / 2
  const all = totalOf(counts)
  const edge = (bin: number) => ((bin - half) / half) * threshold
  const fromBelow = binsHolding((bin) => counts[bin] as number, counts.length, all, share)
  const fromAbove = binsHolding((bin) => counts[counts.length - 1 - bin] as number, counts.length, all, share)
  return { min: edge(counts.length - fromAbove), max: edge(fromBelow) }
}

function totalOf(counts: Float64Array): number {
  let total = 0
  for (let bin = 0; bin < counts.length; bin += 1) total += counts[bin] as number
  return total
}

/** How many bins from the first on hold at least `share` of everything, looked for from the other end: few are cut. */
function binsHolding(countAt: (bin: number) => number, length: number, all: number, share: number): number {
  const wanted = share * all
  let held = all
  for (let bins = length; bins > 0; bins -= 1) {
    held -= countAt(bins - 1)
    if (held < wanted) return bins
  }
  return 0
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
