import { bootstrap, defaultResamples } from '../bootstrap.ts'
import type { Interval } from '../evidence.ts'

/** A statistic of samples that count `weights[i]` times each; without weights, once. */
export type SampleStatistic = (weights?: Uint32Array) => number

/** Draws of samples in all resamples together: about a second's work. */
const maxDraws = 1e8
const minResamples = 200

/**
 * What an error counts at most: NaN and infinities become this, and so stay numbers in JSON, in sums and in squares.
 */
export const worstError = 1e30

/** The mean of a value a sample. */
export function weightedMean(values: ArrayLike<number>): SampleStatistic {
  return (weights) => {
    let sum = 0
    let total = 0
    for (let index = 0; index < values.length; index += 1) {
      const weight = weights?.[index] ?? 1
      sum += weight * (values[index] ?? 0)
      total += weight
    }
    return sum / total
  }
}

/**
 * A 95 % interval of a statistic over the samples; they are taken as independent, so each is a unit of the bootstrap.
 * @returns null for fewer than two samples
 */
export function estimateInterval(samples: number, seed: number, statistic: SampleStatistic): Interval | null {
  if (samples < 2) return null
  const resamples = Math.max(minResamples, Math.min(defaultResamples, Math.floor(maxDraws / samples)))
  return bootstrap(samples, { seed, resamples }, statistic)
}
