/** Student's t at 97.5 % by degrees of freedom (1 to 10): for means of few rounds. */
const studentT = [12.71, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228]

export interface RatioEstimate {
  readonly value: number
  readonly ci95: readonly [low: number, high: number]
}

/** Mean with its t interval. Needs two values at least. */
export function estimateMean(values: readonly number[]): RatioEstimate {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (values.length - 1)
  const half = (studentT[values.length - 2] ?? 1.96) * Math.sqrt(variance / values.length)
  return { value: mean, ci95: [mean - half, mean + half] }
}

/** Geometric mean of the rounds' ratios, with the t interval of their logarithms. Needs two rounds at least. */
export function estimateRatio(ratios: readonly number[]): RatioEstimate {
  const { value, ci95 } = estimateMean(ratios.map(Math.log))
  return { value: Math.exp(value), ci95: [Math.exp(ci95[0]), Math.exp(ci95[1])] }
}

/**
 * The median, and the order statistics around it that hold the true one in at least 95 % of all samples. Where single
 * rounds are disturbed by a factor, as disks do, it stays near what most rounds say.
 */
export function estimateMedian(values: readonly number[]): RatioEstimate {
  const sorted = values.toSorted((a, b) => a - b)
  const count = sorted.length
  const at = (rank: number) => sorted[Math.max(0, Math.min(count - 1, rank))] as number
  const value = (at(Math.floor((count - 1) / 2)) + at(Math.ceil((count - 1) / 2))) / 2
  const outside = ranksOutside(count)
  return { value, ci95: [at(outside), at(count - 1 - outside)] }
}

/** How many values at each end may be left out so that the rest holds the median with 95 %: tails of a fair coin. */
function ranksOutside(count: number): number {
  let outside = 0
  let ways = 1
  let tail = 2 ** -count
  while (2 * (tail + (2 ** -count * ways * (count - outside)) / (outside + 1)) <= 0.05) {
    ways = (ways * (count - outside)) / (outside + 1)
    tail += 2 ** -count * ways
    outside += 1
  }
  return outside
}

/** The q-quantile of a sample, by the nearest rank. */
export function quantile(values: readonly number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  const found = sorted[Math.min(sorted.length - 1, Math.ceil(q * sorted.length) - 1)]
  if (found === undefined) throw new Error('no values')
  return found
}
