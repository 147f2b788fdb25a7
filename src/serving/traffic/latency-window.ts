import type { Estimate } from './rates.ts'

/** The latest latencies of a version, as far as they fit. */
export interface LatencyWindow {
  readonly count: number
  add(ms: number): void
  /** Ascending. */
  sorted(): Float64Array
}

const defaultSize = 4096

export function createLatencyWindow(size = defaultSize): LatencyWindow {
  const values = new Float64Array(size)
  let added = 0
  return {
    get count() {
      return Math.min(added, size)
    },
    add(ms) {
      values[added % size] = ms
      added++
    },
    sorted: () => values.slice(0, Math.min(added, size)).toSorted(),
  }
}

/**
 * The ratio of one quantile of two samples. Its interval is made of the order statistics that hold each quantile with
 * confidence `z`, which assume nothing of the distributions; it is wider than it had to be, never narrower.
 * @returns null where a sample is too small to hold the quantile
 */
export function quantileRatio(of: Float64Array, to: Float64Array, q: number, z: number): Estimate | null {
  const [above, below] = [quantileOf(of, q, z), quantileOf(to, q, z)]
  if (above === undefined || below === undefined || below.low === 0) return null
  return { value: above.value / below.value, low: above.low / below.high, high: above.high / below.low }
}

function quantileOf(sorted: Float64Array, q: number, z: number): Estimate | undefined {
  const count = sorted.length
  const spread = z * Math.sqrt(count * q * (1 - q))
  const ranks = [Math.ceil(count * q), Math.floor(count * q - spread), Math.ceil(count * q + spread) + 1]
  const [value, low, high] = ranks.map((rank) => sorted[rank - 1])
  if (value === undefined || low === undefined || high === undefined) return undefined
  return { value, low, high }
}
