/** A model that somebody's tools made of the original, judged on the same data and timed in the same run. */
export interface Candidate {
  readonly name: string
  readonly path: string
  /** Agreement with the original, 0 to 1. */
  readonly score: number
  readonly leastMs: number
}

/** What adding floats in another order changes in a score. */
const rounding = 1e-6

export interface Pairing {
  readonly theirs: Candidate
  readonly ours: Candidate
}

/**
 * The fastest of theirs that agrees well enough with the original, and the fastest of ours that agrees at least as well
 * as that one. The original counts on both sides: whoever has nothing better keeps it.
 */
export function pairFastest(
  original: Candidate,
  theirs: readonly Candidate[],
  ours: readonly Candidate[],
  floor: number,
): Pairing {
  const best = fastest([original, ...theirs], floor)
  return { theirs: best, ours: fastest([original, ...ours], best.score - rounding) }
}

function fastest(candidates: readonly [Candidate, ...Candidate[]], floor: number): Candidate {
  const fitting = candidates.filter(({ score }) => score >= floor)
  return fitting.reduce((best, each) => (each.leastMs < best.leastMs ? each : best), candidates[0])
}
