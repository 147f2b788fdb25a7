import { describe, expect, test } from 'vitest'
import { createLatencyWindow, quantileRatio } from '../../../src/serving/traffic/latency-window.ts'

const upTo = (count: number, scale = 1) => Float64Array.from({ length: count }, (_, index) => (index + 1) * scale)

describe('a latency window', () => {
  test('keeps the latest values, in order when asked', () => {
    const window = createLatencyWindow(3)
    for (const ms of [9, 5, 1, 3]) window.add(ms)
    expect([...window.sorted()]).toEqual([1, 3, 5])
    expect(window.count).toBe(3)
    expect([...createLatencyWindow().sorted()]).toEqual([])
  })
})

describe('quantileRatio', () => {
  test('holds the ratio between order statistics', () => {
    // Ranks of the median of 100 values: 50, and 40 to 61 with 95 %.
    expect(quantileRatio(upTo(100, 2), upTo(100), 0.5, 1.96)).toEqual({ value: 2, low: 80 / 61, high: 122 / 40 })
  })

  test('is null where a sample is too small for the quantile', () => {
    expect(quantileRatio(upTo(3), upTo(100), 0.5, 1.96)).toBeNull()
    expect(quantileRatio(upTo(100), upTo(100), 0.99, 1.96)).toBeNull()
    expect(quantileRatio(upTo(600), upTo(600), 0.99, 1.96)).toMatchObject({ value: 1 })
    expect(quantileRatio(upTo(0), upTo(0), 0.5, 1.96)).toBeNull()
    expect(quantileRatio(upTo(100), upTo(100, 0), 0.5, 1.96)).toBeNull()
  })

  test('covers a true ratio of 1 nearly always, whatever the distribution', () => {
    let state = 1
    const uniform = () => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647
    const sample = () => Float64Array.from({ length: 200 }, () => 1 / (1 - uniform() * 0.999)).toSorted()
    let covered = 0
    for (let time = 0; time < 400; time++) {
      const { low, high } = quantileRatio(sample(), sample(), 0.5, 1.96)!
      if (low <= 1 && high >= 1) covered++
    }
    expect(covered).toBeGreaterThan(380)
  })
})
