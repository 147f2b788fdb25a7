/** How often requests come. */
export interface Arrivals {
  record(at: number): void
  /** Requests expected within the next `ms`. */
  expected(ms: number, now: number): number
}

/** Weight of the newest gap in the moving average: about the last twenty count. */
const newestWeight = 0.05

export function createArrivals(): Arrivals {
  let last: number | undefined
  let gapMs = Infinity
  return {
    record(at) {
      const gap = last === undefined ? Infinity : at - last
      gapMs = gapMs === Infinity ? gap : gapMs + newestWeight * (gap - gapMs)
      last = at
    },
    expected(ms, now) {
      // When nobody has come for longer than usual, nobody may be left to come.
      const gap = Math.max(gapMs, last === undefined ? Infinity : now - last)
      return gap === 0 ? Infinity : ms / gap
    },
  }
}
