import type { RatioEstimate, Significance } from './evidence.ts'

/**
 * Whether a speed-up is one. `faster` only when its whole interval lies above what the host shows between two copies of
 * the same model; `slower` symmetrically (in ratios); else `same`.
 */
export function judgeSpeedup(speedup: RatioEstimate, noise: RatioEstimate): Significance {
  const floor = noiseFloor(noise)
  const [low, high] = speedup.ci95
  if (low > floor) return 'faster'
  if (high < 1 / floor) return 'slower'
  return 'same'
}

/** The largest ratio, at least 1, that the A/A interval allows in either direction. */
export function noiseFloor({ ci95: [low, high] }: RatioEstimate): number {
  return Math.max(1, high, 1 / low)
}
