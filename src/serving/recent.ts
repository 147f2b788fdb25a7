import {
  addHistograms,
  intervalOf,
  recentMs,
  requestParts,
  type Histogram,
  type RecentFigures,
  type RequestPart,
} from '../storage/index.ts'

/** What the last minute was like, in slices that are forgotten one by one. */
export interface Recent {
  recordSuccess(ms: Readonly<Record<RequestPart, number>>, rows: number, now: number): void
  recordFailure(now: number): void
  figures(now: number): RecentFigures
}

const sliceMs = 10_000
const slices = recentMs / sliceMs

interface Slice {
  readonly number: number
  requests: number
  failed: number
  rows: number
  readonly latency: Record<RequestPart, Record<number, number>>
}

export function createRecent(): Recent {
  // Kept by the slice's number modulo their count: an old one is overwritten when its place is needed.
  const kept: (Slice | undefined)[] = []
  const current = (now: number): Slice => {
    const number = Math.floor(now / sliceMs)
    const known = kept[number % slices]
    if (known?.number === number) return known
    return (kept[number % slices] = emptySlice(number))
  }
  return {
    recordSuccess(ms, rows, now) {
      const slice = current(now)
      slice.requests++
      slice.rows += rows
      for (const part of requestParts) {
        const interval = intervalOf(ms[part])
        const counts = slice.latency[part]
        counts[interval] = (counts[interval] ?? 0) + 1
      }
    },
    recordFailure(now) {
      const slice = current(now)
      slice.requests++
      slice.failed++
    },
    figures(now) {
      const oldest = Math.floor(now / sliceMs) - slices
      const live = kept.flatMap((slice) => (slice !== undefined && slice.number > oldest ? [slice] : []))
      return sumOf(live)
    },
  }
}

function emptySlice(number: number): Slice {
  return { number, requests: 0, failed: 0, rows: 0, latency: byPart(() => ({})) }
}

function byPart<T>(make: (part: RequestPart) => T): Record<RequestPart, T> {
  return Object.fromEntries(requestParts.map((part) => [part, make(part)])) as Record<RequestPart, T>
}

function sumOf(live: readonly Slice[]): RecentFigures {
  const sum = (of: (slice: Slice) => number) => live.reduce((total, slice) => total + of(slice), 0)
  return {
    requests: sum(({ requests }) => requests),
    failed: sum(({ failed }) => failed),
    rows: sum(({ rows }) => rows),
    latency: byPart((part): Histogram => addHistograms(live.map(({ latency }) => latency[part]))),
  }
}
