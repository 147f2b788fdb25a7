import type { Interval } from './evidence.ts'
import { estimateInterval } from './quality/estimate.ts'

/** What a cascade's two models made of one sample. */
export interface CascadeSample {
  /** Of the small model. */
  readonly confidence: number
  readonly smallRight: boolean
  readonly largeRight: boolean
}

/** What a cascade would do at one threshold. */
export interface CascadePoint {
  /** Samples of less confidence go on to the large model. */
  readonly threshold: number
  readonly accuracy: number
  /** Of the samples, those that go on. */
  readonly share: number
  /** Expected for one sample: the small model's, and the large one's for the share. */
  readonly latencyMs: number
}

export interface CascadeTable {
  /** By rising share: none, all, and about evenly between. */
  readonly points: readonly CascadePoint[]
  /** The fastest point as accurate as asked; null when none is. */
  readonly choice: CascadePoint | null
  /** Accuracy of the choice less that of the large model alone, 95 % over the samples. */
  readonly deltaInterval: Interval | null
  readonly small: number
  readonly large: number
}

interface TableOptions {
  readonly smallMs: number
  readonly largeMs: number
  /** What the choice must reach; the large model's own accuracy when undefined. */
  readonly minAccuracy?: number | undefined
}

const shownPoints = 21
const seed = 1

/** Tries every threshold that changes what goes on. One above 1 is none, since no confidence is. */
export function cascadeTable(samples: readonly CascadeSample[], options: TableOptions): CascadeTable {
  const sorted = samples.toSorted((a, b) => a.confidence - b.confidence)
  const small = shareOf(sorted, ({ smallRight }) => smallRight)
  const large = shareOf(sorted, ({ largeRight }) => largeRight)
  const points = allPoints(sorted, options)
  const floor = options.minAccuracy ?? large
  const choice = points.find(({ accuracy }) => accuracy >= floor) ?? null
  return { points: thin(points), choice, deltaInterval: choice && compare(sorted, choice), small, large }
}

function shareOf(samples: readonly CascadeSample[], test: (sample: CascadeSample) => boolean): number {
  return samples.filter(test).length / samples.length
}

function allPoints(sorted: readonly CascadeSample[], { smallMs, largeMs }: TableOptions): CascadePoint[] {
  let right = sorted.filter(({ smallRight }) => smallRight).length
  const points: CascadePoint[] = []
  for (let sent = 0; sent <= sorted.length; sent++) {
    const threshold = thresholdBetween(sorted[sent - 1]?.confidence, sorted[sent]?.confidence)
    const share = sent / sorted.length
    if (threshold !== undefined) {
      points.push({ threshold, share, accuracy: right / sorted.length, latencyMs: smallMs + share * largeMs })
    }
    const next = sorted[sent]
    right += Number(next?.largeRight ?? false) - Number(next?.smallRight ?? false)
  }
  return points
}

/** In the middle, where unseen samples are least likely to fall on the wrong side; undefined for equal confidences. */
function thresholdBetween(below: number | undefined, above = 1): number | undefined {
  if (below === undefined) return 0
  if (below >= above) return undefined
  const middle = (below + above) / 2
  return middle > below ? middle : above
}

function thin(points: readonly CascadePoint[]): CascadePoint[] {
  const step = Math.max(1, (points.length - 1) / (shownPoints - 1))
  const kept = new Set(Array.from({ length: shownPoints }, (_, index) => Math.round(index * step)))
  return points.filter((_, index) => kept.has(index))
}

function compare(sorted: readonly CascadeSample[], { threshold }: CascadePoint): Interval | null {
  const gains = sorted.map(({ confidence, smallRight, largeRight }) =>
    confidence < threshold ? 0 : Number(smallRight) - Number(largeRight),
  )
  return estimateInterval(gains.length, seed, (weights) => {
    const sum = gains.reduce((total, gain, index) => total + gain * (weights?.[index] ?? 1), 0)
    return sum / gains.length
  })
}
