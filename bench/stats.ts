/** Student's t at 97.5 % by degrees of freedom (1 to 10): for means of few rounds. */
const studentT = [12.71, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228]

export interface RatioEstimate {
  readonly value: number
  readonly ci95: readonly [low: number, high: number]
}

/** Geometric mean of the rounds' ratios, with the t interval of their logarithms. Needs two rounds at least. */
export function estimateRatio(ratios: readonly number[]): RatioEstimate {
  const logs = ratios.map(Math.log)
  const mean = logs.reduce((sum, value) => sum + value, 0) / logs.length
  const variance = logs.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (logs.length - 1)
  const half = (studentT[logs.length - 2] ?? 1.96) * Math.sqrt(variance / logs.length)
  return { value: Math.exp(mean), ci95: [Math.exp(mean - half), Math.exp(mean + half)] }
}

/** The q-quantile of a sample, by the nearest rank. */
export function quantile(values: readonly number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  const found = sorted[Math.min(sorted.length - 1, Math.ceil(q * sorted.length) - 1)]
  if (found === undefined) throw new Error('no values')
  return found
}
