import { describe, expect, it } from 'vitest'
import { estimateMedian, estimateRatio, quantile } from '../../bench/stats.ts'

describe('estimateMedian', () => {
  it('takes the middle, or the mean of the two in the middle', () => {
    expect(estimateMedian([3, 1, 2]).value).toBe(2)
    expect(estimateMedian([4, 1, 2, 3]).value).toBe(2.5)
  })

  // Conover, Practical Nonparametric Statistics, 3.2: of 10 values the 2nd and 9th hold the median with 97.9 %.
  it.each([
    [5, 0],
    [6, 0],
    [8, 0],
    [9, 1],
    [10, 1],
    [12, 2],
    [15, 3],
    [20, 5],
  ])('of %i values leaves out %i at each end', (count, outside) => {
    const values = Array.from({ length: count }, (_, index) => index)
    expect(estimateMedian(values).ci95).toEqual([outside, count - 1 - outside])
  })

  it('is not moved by one round that a disk held up', () => {
    expect(estimateMedian([1, 1.1, 0.9, 1, 1.05, 0.95, 1, 1, 1.02, 40]).ci95[1]).toBeLessThan(1.2)
  })
})

describe('estimateRatio', () => {
  it('is the geometric mean of the rounds', () => {
    const { value, ci95 } = estimateRatio([0.5, 2])
    expect(value).toBeCloseTo(1)
    expect(ci95[0] * ci95[1]).toBeCloseTo(1)
  })
})

describe('quantile', () => {
  it('takes the nearest rank', () => {
    expect(quantile([5, 1, 4, 2, 3], 0.5)).toBe(3)
    expect(quantile([5, 1, 4, 2, 3], 0.99)).toBe(5)
  })
})
