import { describe, expect, test } from 'vitest'
import { addMoments, driftOf } from '../../../src/storage/index.ts'
import { createDriftWindow } from '../../../src/serving/traffic/drift.ts'

/** The window after these values. */
function after(values: readonly number[], size = 4) {
  const window = createDriftWindow(size)
  for (const value of values) window.add(value)
  return window.figures()
}

describe('a drift window', () => {
  test('keeps the first values and the latest', () => {
    const { first, latest } = after([1, 2, 3, 4, 5, 6])
    expect(first).toEqual({ count: 4, sum: 10, squares: 30 })
    expect(latest).toEqual({ count: 4, sum: 18, squares: 86 })
  })

  test('drifts by standard deviations of the first', () => {
    expect(driftOf(after([0, 2, 0, 2, 5, 5, 5, 5]))).toBe(4)
    expect(driftOf(after([0, 2, 0, 2]))).toBe(0)
    expect(driftOf(after([3, 3, 3, 3]))).toBe(0)
  })

  test('says nothing where there is nothing to compare with', () => {
    expect(driftOf(after([]))).toBeUndefined()
    expect(driftOf(after([1]))).toBeUndefined()
    expect(driftOf(after([3, 3, 3, 3, 4]))).toBeUndefined()
  })

  test('adds up over processes', () => {
    const parts = [after([0, 2, 9, 9]), after([0, 2, 9, 9])].map(({ first }) => first)
    expect(addMoments(parts)).toEqual({ count: 8, sum: 40, squares: 332 })
  })
})
