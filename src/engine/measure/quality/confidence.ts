import type { NumericTensor } from '../../ir/tensor.ts'
import { numbersOf } from './numbers.ts'
import { argmax, type Row } from './scores.ts'

/** What the scores of an output are: logits that softmax makes probabilities of, or probabilities already. */
export type ScoreScale = 'softmax' | 'probabilities'

/**
 * How sure a classifier is of each row: the probability of its best class. With several predictions a row (a sequence)
 * a row is as sure as the least sure of them; NaN counts as 0.
 * @param tensor scores, the classes being the last axis; a single one is that of the second of two classes
 * @param rows how many rows the elements make
 */
export function confidencesOf(tensor: NumericTensor, rows: number, scale: ScoreScale): Float64Array {
  const confidence = scale === 'softmax' ? softmaxConfidence : givenConfidence
  return Float64Array.from(predictionsOf(tensor, rows), (predictions) =>
    predictions.reduce((least, scores) => Math.min(least, confidence(scores) || 0), 1),
  )
}

/** The best class of each prediction of each row. */
export function classesOf(tensor: NumericTensor, rows: number, scale: ScoreScale): readonly (readonly number[])[] {
  return predictionsOf(tensor, rows).map((predictions) => predictions.map((scores) => bestClass(scores, scale)))
}

function predictionsOf(tensor: NumericTensor, rows: number): Row[][] {
  const values = numbersOf(tensor)
  const length = tensor.dims.at(-1) ?? 1
  const perRow = rows === 0 || length === 0 ? 0 : values.length / rows / length
  return Array.from({ length: rows }, (_, row) =>
    Array.from({ length: perRow }, (_, index) => ({ values, start: (row * perRow + index) * length, length })),
  )
}

function bestClass(scores: Row, scale: ScoreScale): number {
  if (scores.length > 1) return argmax(scores)
  return Number((scores.values[scores.start] ?? 0) > (scale === 'softmax' ? 0 : 0.5))
}

function softmaxConfidence(scores: Row): number {
  const { values, start, length } = scores
  const largest = values[start + argmax(scores)] ?? Number.NaN
  if (length === 1) return 1 / (1 + Math.exp(-Math.abs(largest)))
  let sum = 0
  for (let index = start; index < start + length; index += 1) sum += Math.exp((values[index] ?? Number.NaN) - largest)
  return 1 / sum
}

function givenConfidence(scores: Row): number {
  const largest = scores.values[scores.start + argmax(scores)] ?? Number.NaN
  return scores.length === 1 ? Math.max(largest, 1 - largest) : largest
}
