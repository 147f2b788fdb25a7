import type { LatencyStats } from './evidence.ts'

/**
 * The p-quantile (0…1) of ascending values by linear interpolation between order statistics: type 7 of Hyndman and
 * Fan, "Sample Quantiles in Statistical Packages" (1996), which is also numpy's default. NaN for no values.
 */
export function quantileOf(sorted: ArrayLike<number>, p: number): number {
  const position = (sorted.length - 1) * p
  const below = sorted[Math.floor(position)]
  const above = sorted[Math.ceil(position)]
  if (below === undefined || above === undefined) return Number.NaN
  return below + (above - below) * (position - Math.floor(position))
}

/** The median; NaN for no values. */
export function medianOf(values: ArrayLike<number>): number {
  return quantileOf(Float64Array.from(values).sort(), 0.5)
}

/** The mean; NaN for no values. */
export function meanOf(values: ArrayLike<number>): number {
  let sum = 0
  for (let index = 0; index < values.length; index += 1) sum += values[index] ?? 0
  return sum / values.length
}

/** Latency statistics of runs in milliseconds. */
export function summarizeLatency(runs: ArrayLike<number>): LatencyStats {
  const sorted = Float64Array.from(runs).sort()
  const median = quantileOf(sorted, 0.5)
  return {
    p50_ms: median,
    p90_ms: quantileOf(sorted, 0.9),
    p95_ms: quantileOf(sorted, 0.95),
    p99_ms: quantileOf(sorted, 0.99),
    min_ms: quantileOf(sorted, 0),
    mad_ms: medianOf(sorted.map((value) => Math.abs(value - median))),
    percentiles_ms: Array.from({ length: 101 }, (_, percent) => quantileOf(sorted, percent / 100)),
    runs: sorted.length,
  }
}
