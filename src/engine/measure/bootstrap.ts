import { createRandom, sampleInteger } from '../data/random.ts'
import type { Interval, RatioEstimate } from './evidence.ts'
import { medianOf, quantileOf } from './statistics.ts'

/** Runs of one model, in milliseconds, grouped by the round they were measured in. */
export type Rounds = readonly (readonly number[])[]

export interface BootstrapOptions {
  readonly seed: number
  readonly resamples: number
}

/** 2,000 resamples put the Monte Carlo error of a 95 % percentile bound well below the width of the interval. */
export const defaultResamples = 2000

const tail = 0.025

/**
 * The ratio of the medians of two models, with a 95 % interval.
 *
 * Runs close in time are alike (frequency, caches, neighbours), so single runs can't be resampled as if independent.
 * Whole rounds are instead, both models' blocks together: the block bootstrap of Künsch (1989), with the percentile
 * interval of Efron and Tibshirani ("An Introduction to the Bootstrap", 1993, ch. 13); Kalibera and Jones ("Rigorous
 * benchmarking in reasonable time", 2013) argue for ratios with intervals over whole executions the same way.
 */
export function estimateRatio(numerator: Rounds, denominator: Rounds, options: BootstrapOptions): RatioEstimate {
  const above = sortRuns(numerator)
  const below = sortRuns(denominator)
  const ratios = bootstrap(
    numerator.length,
    options,
    (weights) => weightedMedian(above, weights) / weightedMedian(below, weights),
  )
  return { p50: medianOf(numerator.flat()) / medianOf(denominator.flat()), ci95: ratios }
}

/**
 * The 95 % percentile interval of a statistic over units that are resampled with replacement.
 * @param statistic gets how often each unit was drawn; draws where it is NaN are left out
 */
export function bootstrap(
  units: number,
  { seed, resamples }: BootstrapOptions,
  statistic: (weights: Uint32Array) => number,
): Interval {
  const random = createRandom(seed)
  const weights = new Uint32Array(units)
  const values = Float64Array.from({ length: resamples }, () => {
    weights.fill(0)
    for (let draw = 0; draw < units; draw += 1) {
      const unit = sampleInteger(random, units)
      weights[unit] = (weights[unit] ?? 0) + 1
    }
    return statistic(weights)
  })
  const sorted = values.filter((value) => !Number.isNaN(value)).sort()
  return [quantileOf(sorted, tail), quantileOf(sorted, 1 - tail)]
}

interface SortedRuns {
  readonly values: Float64Array
  /** The round of each value. */
  readonly rounds: Uint32Array
  /** Runs in each round. */
  readonly counts: Uint32Array
}

/** Sorting once and drawing weights makes a resample one walk, instead of a sort of every run. */
function sortRuns(rounds: Rounds): SortedRuns {
  const tagged = rounds.flatMap((runs, round) => runs.map((value) => ({ value, round })))
  tagged.sort((a, b) => a.value - b.value)
  return {
    values: Float64Array.from(tagged, ({ value }) => value),
    rounds: Uint32Array.from(tagged, ({ round }) => round),
    counts: Uint32Array.from(rounds, ({ length }) => length),
  }
}

/** The median of the values, each counted as often as its round was drawn. */
function weightedMedian({ values, rounds, counts }: SortedRuns, weights: Uint32Array): number {
  let total = 0
  for (let round = 0; round < counts.length; round += 1) total += (counts[round] ?? 0) * (weights[round] ?? 0)
  let seen = 0
  let lower = Number.NaN
  for (let index = 0; index < values.length; index += 1) {
    const weight = weights[rounds[index] ?? 0] ?? 0
    if (weight === 0) continue
    const value = values[index] ?? Number.NaN
    // An even total has two middles; `lower` waits for the second.
    if (!Number.isNaN(lower)) return (lower + value) / 2
    seen += weight
    if (seen * 2 > total) return value
    if (seen * 2 === total) lower = value
  }
  return lower
}
