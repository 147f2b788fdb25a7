/** A row of class scores inside a flat array. */
export interface Row {
  readonly values: ArrayLike<number>
  readonly start: number
  readonly length: number
}

/** What the scores of an output are: they become probabilities by softmax, by exp, or as they are. */
export type ScoreKind = 'logits' | 'logProbabilities' | 'probabilities'

/** float16 softmax rows add up to 1 within about this. */
const sumTolerance = 5e-3

/** Smaller probabilities count as this in a logarithm. */
const minProbability = 1e-12

/** The index of the largest score, the first of equals; -1 when every score is NaN. */
export function argmax({ values, start, length }: Row): number {
  let best = -1
  let highest = Number.NEGATIVE_INFINITY
  for (let index = 0; index < length; index += 1) {
    const value = values[start + index] ?? Number.NaN
    if (value > highest || (best < 0 && value === highest)) {
      best = index
      highest = value
    }
  }
  return best
}

/** How many classes are ranked before `label`, by the order `argmax` uses; Infinity when its score is NaN. */
export function rankOf({ values, start, length }: Row, label: number): number {
  const score = values[start + label] ?? Number.NaN
  if (Number.isNaN(score)) return Number.POSITIVE_INFINITY
  let before = 0
  for (let index = 0; index < length; index += 1) {
    const value = values[start + index] ?? Number.NaN
    if (value > score || (value === score && index < label)) before += 1
  }
  return before
}

/** Tells probabilities from logits by whether every row adds up to one. */
export function detectScores(values: ArrayLike<number>, classes: number): ScoreKind {
  const adds = (probability: (value: number) => number) => {
    for (let start = 0; start < values.length; start += classes) {
      let sum = 0
      for (let index = start; index < start + classes; index += 1) sum += probability(values[index] ?? Number.NaN)
      if (!(Math.abs(sum - 1) <= sumTolerance)) return false
    }
    return values.length > 0
  }
  if (adds((value) => (value >= 0 ? value : Number.NaN))) return 'probabilities'
  if (adds((value) => (value <= 0 ? Math.exp(value) : Number.NaN))) return 'logProbabilities'
  return 'logits'
}

/**
 * Kullback-Leibler divergence of the second row's distribution from the first's, in nats; 0 for equal ones. NaN when a
 * score is.
 */
export function divergence(reference: Row, other: Row, kind: ScoreKind): number {
  const [shiftP, shiftQ] = kind === 'logits' ? [logSumExp(reference), logSumExp(other)] : [0, 0]
  let sum = 0
  for (let index = 0; index < reference.length; index += 1) {
    const p = logProbability(reference.values[reference.start + index] ?? Number.NaN, shiftP, kind)
    const q = logProbability(other.values[other.start + index] ?? Number.NaN, shiftQ, kind)
    sum += Math.exp(p) * (p - q)
  }
  // Rounding may take equal distributions a little below zero, which no divergence is.
  return Number.isNaN(sum) ? sum : Math.max(0, sum)
}

function logProbability(value: number, shift: number, kind: ScoreKind): number {
  const log = kind === 'probabilities' ? Math.log(Math.max(value, minProbability)) : value - shift
  return Math.max(log, Math.log(minProbability))
}

function logSumExp({ values, start, length }: Row): number {
  let highest = Number.NEGATIVE_INFINITY
  for (let index = start; index < start + length; index += 1) highest = Math.max(highest, values[index] ?? Number.NaN)
  let sum = 0
  for (let index = start; index < start + length; index += 1) sum += Math.exp((values[index] ?? Number.NaN) - highest)
  return highest + Math.log(sum)
}
