import { describe, expect, test } from 'vitest'
import { chanceOfAtLeast, shareOf } from '../../../src/serving/traffic/rates.ts'

describe('shareOf', () => {
  // Wilson's interval for 8 of 10, as in Brown, Cai and DasGupta (2001) and R's prop.test(8, 10, correct = FALSE).
  test('has the interval of Wilson', () => {
    const { value, low, high } = shareOf(8, 10)!
    expect(value).toBe(0.8)
    expect(low).toBeCloseTo(0.4902, 3)
    expect(high).toBeCloseTo(0.9433, 3)
  })

  test('stays within 0 and 1, and is null without trials', () => {
    expect(shareOf(0, 5)).toMatchObject({ value: 0, low: 0 })
    expect(shareOf(5, 5)).toMatchObject({ value: 1, high: 1 })
    expect(shareOf(0, 0)).toBeNull()
  })
})

describe('chanceOfAtLeast', () => {
  test.each([
    [1, 1, 0.01, 0.01],
    [1, 10, 0.1, 1 - 0.9 ** 10],
    [10, 10, 0.5, 0.5 ** 10],
    [2, 3, 0.5, 0.5],
    // 1 - pbinom(59, 100, 0.5)
    [60, 100, 0.5, 0.02844397],
  ])('%i of %i at %f', (hits, trials, chance, expected) => {
    expect(chanceOfAtLeast(hits, trials, chance)).toBeCloseTo(expected, 8)
  })

  test('knows certainty, and bears many trials', () => {
    expect([chanceOfAtLeast(0, 10, 0), chanceOfAtLeast(1, 10, 0), chanceOfAtLeast(10, 10, 1)]).toEqual([1, 0, 1])
    expect(chanceOfAtLeast(10_000, 1_000_000, 0.01)).toBeCloseTo(0.5, 2)
    expect(chanceOfAtLeast(12_000, 1_000_000, 0.01)).toBeLessThan(1e-9)
    expect(chanceOfAtLeast(1, 1_000_000, 0.01)).toBe(1)
  })
})
