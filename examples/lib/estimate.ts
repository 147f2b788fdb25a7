import { bootstrap, defaultResamples } from '../../src/engine/measure/bootstrap.ts'

/** Digits in a row that the bootstrap draws together: neighbours are not independent. */
const blockLength = 25

export const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length

export const percent = (share: number) => `${(100 * share).toFixed(2)} %`

function blocksOf(values: readonly number[]): number[] {
  const count = Math.ceil(values.length / blockLength)
  return Array.from({ length: count }, (_, index) => mean(values.slice(index * blockLength, (index + 1) * blockLength)))
}

/** A 95 % interval of how the means of two measurements of the same digits compare. */
function intervalOf(first: readonly number[], second: readonly number[], compare: (a: number, b: number) => number) {
  const [a, b] = [blocksOf(first), blocksOf(second)]
  const drawn = (values: readonly number[], weights: Uint32Array) =>
    values.reduce((sum, value, index) => sum + value * (weights[index] ?? 0), 0) / values.length
  return bootstrap(a.length, { seed: 1, resamples: defaultResamples }, (weights) =>
    compare(drawn(a, weights), drawn(b, weights)),
  )
}

export function ratioOf(first: readonly number[], second: readonly number[]): string {
  const [low, high] = intervalOf(first, second, (a, b) => a / b)
  return `${(mean(first) / mean(second)).toFixed(3)} (95 %: ${low.toFixed(3)} to ${high.toFixed(3)})`
}

export function differenceOf(first: readonly number[], second: readonly number[]): string {
  const [low, high] = intervalOf(first, second, (a, b) => a - b)
  return `${percent(mean(first) - mean(second))} (95 %: ${percent(low)} to ${percent(high)})`
}
