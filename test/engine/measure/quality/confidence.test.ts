import { describe, expect, test } from 'vitest'
import { tensorOf } from '../../../../src/engine/ir/tensor.ts'
import { classesOf, confidencesOf } from '../../../../src/engine/measure/quality/confidence.ts'

const floats = (dims: readonly number[], ...values: number[]) => tensorOf('float32', dims, Float32Array.from(values))

describe('confidence', () => {
  test('is the largest probability of a row, by softmax or as given', () => {
    const logits = floats([2, 3], 0, Math.log(2), 0, 1000, 1000, -1000)
    const [first, second] = confidencesOf(logits, 2, 'softmax')
    expect(first).toBeCloseTo(0.5, 6)
    expect(second).toBeCloseTo(0.5, 6)
    expect([...confidencesOf(floats([2, 2], 0.25, 0.75, 1, 0), 2, 'probabilities')]).toEqual([0.75, 1])
  })

  test('of a sequence is that of its least sure prediction', () => {
    const scores = floats([1, 2, 2], 0.875, 0.125, 0.375, 0.625)
    expect([...confidencesOf(scores, 1, 'probabilities')]).toEqual([0.625])
    expect(classesOf(scores, 1, 'probabilities')).toEqual([[0, 1]])
  })

  test('of one class is that of the likelier of two', () => {
    expect([...confidencesOf(floats([2, 1], 0.25, 0.875), 2, 'probabilities')]).toEqual([0.75, 0.875])
    const logits = floats([2, 1], -2, 2)
    const [negative, positive] = confidencesOf(logits, 2, 'softmax')
    expect(negative).toBeCloseTo(1 / (1 + Math.exp(-2)), 6)
    expect(positive).toBe(negative)
    expect(classesOf(logits, 2, 'softmax')).toEqual([[0], [1]])
    expect(classesOf(floats([1, 1], 0.25), 1, 'probabilities')).toEqual([[0]])
  })

  test('is 0 where a score is NaN or infinite, and reads halves', () => {
    expect([...confidencesOf(floats([1, 2], NaN, 1), 1, 'softmax')]).toEqual([0])
    expect([...confidencesOf(floats([1, 2], Infinity, 1), 1, 'softmax')]).toEqual([0])
    const halves = Float16Array.of(0.25, 0.75)
    const tensor = tensorOf('float16', [1, 2], new Uint16Array(halves.buffer))
    expect([...confidencesOf(tensor, 1, 'probabilities')]).toEqual([0.75])
    expect([...confidencesOf(floats([0, 2]), 0, 'softmax')]).toEqual([])
  })
})
