/** How often values fell into each interval of `boundMs`, by the number of the interval. */
export type Histogram = Readonly<Record<number, number>>

export const requestParts = ['total', 'queue', 'input', 'infer', 'output'] as const
export type RequestPart = (typeof requestParts)[number]

/** What the requests of the last minute were like. */
export interface RecentFigures {
  readonly requests: number
  readonly failed: number
  readonly rows: number
  /** Milliseconds by part. */
  readonly latency: Readonly<Record<RequestPart, Histogram>>
}

/** What a serve process says of a version it has loaded, as sums that a reader adds up over processes. */
export interface ServingFigures {
  readonly requests: number
  readonly rows: number
  readonly executions: number
  readonly failures: Readonly<Record<string, number>>
  readonly lastInference: number
  readonly queued: number
  readonly inFlight: number
  /** Runs by batch size, and the milliseconds they took. */
  readonly batches: Readonly<Record<number, { readonly runs: number; readonly ms: number }>>
  readonly recent: RecentFigures
}

/** The topic of these figures in a row. */
export const servingTopic = 'serving'
/** What `RecentFigures` cover. */
export const recentMs = 60_000

/** Intervals per doubling: a quantile is off by a twelfth at most. */
const perDoubling = 4
const firstMs = 2 ** -10
const lastInterval = 27 * perDoubling

/** The number of the interval that milliseconds fall into: from a microsecond to two minutes, all more in the last. */
export function intervalOf(ms: number): number {
  return ms <= firstMs ? 0 : Math.min(lastInterval, Math.ceil(Math.log2(ms / firstMs) * perDoubling))
}

/** The middle of an interval, by its logarithm. */
function middleMs(interval: number): number {
  return firstMs * 2 ** ((interval - 0.5) / perDoubling)
}

export function addHistograms(histograms: readonly Histogram[]): Histogram {
  const sum: Record<number, number> = {}
  for (const histogram of histograms) {
    for (const [interval, count] of Object.entries(histogram)) {
      sum[Number(interval)] = (sum[Number(interval)] ?? 0) + count
    }
  }
  return sum
}

/** Milliseconds at quantile `q`, by the nearest rank; undefined when nothing was counted. */
export function quantileMs(histogram: Histogram, q: number): number | undefined {
  const intervals = Object.entries(histogram).toSorted(([a], [b]) => Number(a) - Number(b))
  const total = intervals.reduce((sum, [, count]) => sum + count, 0)
  let left = Math.ceil(q * total)
  for (const [interval, count] of intervals) {
    left -= count
    if (left <= 0) return middleMs(Number(interval))
  }
  return undefined
}
