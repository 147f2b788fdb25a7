import { describe, expect, test } from 'vitest'
import { addHistograms, intervalOf, quantileMs } from '../../../../src/storage/index.ts'

const histogramOf = (values: readonly number[]) =>
  addHistograms(values.map((value): Record<number, number> => ({ [intervalOf(value)]: 1 })))

describe('histograms of milliseconds', () => {
  test.each([0.001, 0.05, 0.8, 3, 47, 999, 60_000])('keep %d to a twelfth', (ms) => {
    const read = quantileMs(histogramOf([ms]), 0.5)!
    expect(Math.abs(read - ms) / ms).toBeLessThan(1 / 11)
  })

  test('hold what lies outside in the first and the last interval', () => {
    expect(intervalOf(0)).toBe(0)
    expect(intervalOf(-1)).toBe(0)
    expect(intervalOf(1e9)).toBe(intervalOf(1e12))
  })

  test('tell quantiles of what several counted', () => {
    const values = Array.from({ length: 1000 }, (_, index) => index + 1)
    const both = addHistograms([histogramOf(values.slice(0, 300)), histogramOf(values.slice(300))])
    for (const q of [0.5, 0.9, 0.99]) {
      const exact = 1000 * q
      expect(Math.abs(quantileMs(both, q)! - exact) / exact).toBeLessThan(1 / 11)
    }
  })

  test('tell nothing of nothing', () => expect(quantileMs({}, 0.5)).toBeUndefined())
})
