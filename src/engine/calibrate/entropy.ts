import type { Range } from './affine.ts'
import { coarsen, prefixSums, type Histogram } from './histogram.ts'

/** Bins over the values, at least; up to twice as many where the histogram is wider than they are. */
const searchBins = 2048
const quantizedBins = 128

/** What an empty bin of the quantized distribution counts, so that a divergence is never infinite. */
const smoothing = 1e-4

/** Sums over bins that give the divergence of a slice without visiting its bins one by one. */
interface Sums {
  readonly counts: Float64Array
  readonly count: Float64Array
  readonly filled: Float64Array
  /** Of c·ln c. */
  readonly information: Float64Array
}

/**
 * The symmetric range whose 128-level version tells the least apart from the values: the slice of the histogram that
 * has the smallest Kullback–Leibler divergence, what lies outside counted at its ends.
 * (Migacz, 8-bit Inference with TensorRT, 2017)
 */
export function entropyRange({ threshold, counts }: Histogram, largest: number): Range {
  const occupied = threshold > 0 ? largest / threshold : 1
  const factor = 2 ** Math.floor(Math.log2((counts.length * occupied) / searchBins))
  const coarse = coarsen({ threshold, counts }, factor)
  const sums = sumsOf(coarse.counts)
  const half = coarse.counts.length / 2
  const widest = Math.min(half, Math.ceil(half * occupied))
  let best = { bins: widest, divergence: Number.POSITIVE_INFINITY }
  for (let bins = quantizedBins / 2; bins <= widest; bins += 1) {
    const divergence = sliceDivergence(sums, half - bins, half + bins)
    if (divergence < best.divergence) best = { bins, divergence }
  }
  const max = (best.bins / half) * threshold
  return { min: -max, max }
}

function sumsOf(counts: Float64Array): Sums {
  return {
    counts,
    count: prefixSums(counts),
    filled: prefixSums(counts.map((count) => (count > 0 ? 1 : 0))),
    information: prefixSums(counts.map(information)),
  }
}

function information(count: number): number {
  return count > 0 ? count * Math.log(count) : 0
}

function between(sums: Float64Array, start: number, end: number): number {
  return (sums[end] as number) - (sums[start] as number)
}

/** KL(p‖q) = Σ p ln(p/q), both normalized: p the slice with the outliers at its ends, q its 128 means over filled bins. */
function sliceDivergence(sums: Sums, start: number, end: number): number {
  const total = between(sums.count, 0, sums.counts.length)
  const kept = between(sums.count, start, end)
  if (kept === 0) return Number.POSITIVE_INFINITY
  const outliers = [between(sums.count, 0, start), between(sums.count, end, sums.counts.length)] as const
  const ends = [sums.counts[start] as number, sums.counts[end - 1] as number] as const
  let divergence = between(sums.information, start, end)
  for (const side of [0, 1] as const) {
    divergence += information(ends[side] + outliers[side]) - information(ends[side])
  }
  const width = Math.floor((end - start) / quantizedBins)
  for (let group = 0; group < quantizedBins; group += 1) {
    const from = start + group * width
    const to = group === quantizedBins - 1 ? end : from + width
    const side = group === 0 ? 0 : group === quantizedBins - 1 ? 1 : undefined
    const extra = side === undefined ? 0 : outliers[side]
    const emptyEnd = side !== undefined && extra > 0 && ends[side] === 0 ? 1 : 0
    const count = between(sums.count, from, to)
    const filled = between(sums.filled, from, to) + emptyEnd
    if (filled > 0) divergence -= (count + extra) * Math.log(Math.max(count / filled, smoothing))
  }
  return divergence / total + Math.log(kept / total)
}
