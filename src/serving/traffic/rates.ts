/** A value with an interval around it. */
export interface Estimate {
  readonly value: number
  readonly low: number
  readonly high: number
}

const z95 = 1.96

/** A share with Wilson's interval of 95 %; null without trials. */
export function shareOf(hits: number, trials: number): Estimate | null {
  if (trials === 0) return null
  const value = hits / trials
  const [z2, n] = [z95 * z95, trials]
  const middle = (value + z2 / (2 * n)) / (1 + z2 / n)
  const half = (z95 / (1 + z2 / n)) * Math.sqrt((value * (1 - value)) / n + z2 / (4 * n * n))
  return { value, low: Math.max(0, middle - half), high: Math.min(1, middle + half) }
}

/** How likely at least `hits` of `trials` are when each has `chance`: small when the chance must be larger. */
export function chanceOfAtLeast(hits: number, trials: number, chance: number): number {
  if (hits <= 0) return 1
  if (chance <= 0) return 0
  if (chance >= 1) return 1
  // In logarithms: factorials of thousands fit no double.
  let sum = 0
  let log = logBinomial(hits, trials) + hits * Math.log(chance) + (trials - hits) * Math.log1p(-chance)
  for (let count = hits; count <= trials; count++) {
    const term = Math.exp(log)
    sum += term
    // Beyond the mean the terms only get smaller.
    if (count > trials * chance && term < sum * Number.EPSILON) break
    log += Math.log((trials - count) / (count + 1)) + Math.log(chance) - Math.log1p(-chance)
  }
  return Math.min(1, sum)
}

function logBinomial(hits: number, trials: number): number {
  let log = 0
  for (let index = 1; index <= hits; index++) log += Math.log((trials - hits + index) / index)
  return log
}
