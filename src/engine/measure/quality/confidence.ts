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
  const confidences = new Float64Array(rows).fill(1)
  visitPredictions(tensor, rows, (row, scores) => {
    confidences[row] = Math.min(confidences[row] ?? 1, confidence(scores) || 0)
  })
  return confidences
}

/** The best class of each prediction of each row. */
export function classesOf(tensor: NumericTensor, rows: number, scale: ScoreScale): readonly (readonly number[])[] {
  const classes = Array.from({ length: rows }, (): number[] => [])
  visitPredictions(tensor, rows, (row, scores) => void classes[row]?.push(bestClass(scores, scale)))
  return classes
}

function visitPredictions(tensor: NumericTensor, rows: number, visit: (row: number, scores: Row) => void): void {
  const values = numbersOf(tensor)
  const length = tensor.dims.at(-1) ?? 1
  const each = values.length / rows
  for (let start = 0; start < values.length; start += length) visit(Math.floor(start / each), { values, start, length })
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
