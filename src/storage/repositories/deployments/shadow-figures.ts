/** Count, sum and sum of squares: what adds up over processes. */
export interface Moments {
  readonly count: number
  readonly sum: number
  readonly squares: number
}

/** Means of answers: of the first ones, and of the latest. */
export interface DriftFigures {
  readonly first: Moments
  readonly latest: Moments
}

/** What one serve process says of a shadow, since it compares it with `primary`. */
export interface ShadowFigures {
  readonly primary: number
  readonly compared: number
  readonly agreed: number
  readonly failed: number
  readonly dropped: number
  /** Answers of other outputs, dims or dtypes. */
  readonly mismatched: number
  readonly rows: number
  readonly flips: number
  /** Answers that have a cosine, and the sum of these. */
  readonly cosines: number
  readonly cosine: number
  readonly min_cosine: number
  readonly max_abs: number
  /** Sums over the answers that were compared. */
  readonly primary_ms: number
  readonly candidate_ms: number
  readonly last_mismatch: string | null
  readonly last_error: string | null
  readonly drift: Readonly<Record<'primary' | 'candidate', DriftFigures>>
}

/** The topic of these figures in a row. */
export const shadowTopic = 'shadow'

/** The difference of the means in standard deviations of the first answers; undefined where that says nothing. */
export function driftOf({ first, latest }: DriftFigures): number | undefined {
  if (first.count < 2 || latest.count === 0) return undefined
  const mean = first.sum / first.count
  const variance = Math.max(0, first.squares / first.count - mean * mean)
  const difference = latest.sum / latest.count - mean
  if (variance === 0) return difference === 0 ? 0 : undefined
  return difference / Math.sqrt(variance)
}

export function addMoments(all: readonly Moments[]): Moments {
  const sum = (of: (moments: Moments) => number) => all.reduce((total, each) => total + of(each), 0)
  return { count: sum(({ count }) => count), sum: sum((each) => each.sum), squares: sum(({ squares }) => squares) }
}
