import { describe, expect, test } from 'vitest'
import { createArrivals } from '../../../src/serving/scheduler/arrivals.ts'
import { createLatencyModel } from '../../../src/serving/scheduler/latency-model.ts'

describe('the latency model', () => {
  test('is the line through what was seen', () => {
    const model = createLatencyModel()
    expect(model.predict(8)).toBe(0)
    for (const rows of [1, 2, 5, 9]) model.observe(rows, 3 + 0.5 * rows)
    expect(model.predict(20)).toBeCloseTo(13, 9)
  })

  test('keeps the slope that warming up gave while all traffic has one size, and follows the machine', () => {
    const seeds = [1, 16].map((rows) => ({ rows, ms: 1 + rows }))
    const model = createLatencyModel(seeds)
    expect(model.predict(4)).toBeCloseTo(5, 9)
    for (let run = 0; run < 200; run++) model.observe(8, 9)
    expect(model.predict(16)).toBeGreaterThan(model.predict(8))
    for (let run = 0; run < 200; run++) model.observe(8, 90)
    expect(model.predict(8)).toBeGreaterThan(80)
  })

  test('begins with what a job measured, and forgets it once enough runs have been seen here', () => {
    const model = createLatencyModel([], [{ rows: 1, ms: 100 }])
    expect(model.predict(1)).toBe(100)
    for (let run = 0; run < 7; run++) model.observe(1, 4)
    expect(model.predict(1)).toBeGreaterThan(4)
    model.observe(1, 4)
    expect(model.predict(1)).toBe(4)
  })

  test('never says that more rows take less time, or that any take less than none', () => {
    const falling = createLatencyModel([1, 10].map((rows) => ({ rows, ms: 20 - rows })))
    expect(falling.predict(100)).toBe(falling.predict(1))
    const steep = createLatencyModel([1, 2, 3].map((rows) => ({ rows, ms: rows ** 3 })))
    expect(steep.predict(0)).toBe(0)
  })
})

describe('arrivals', () => {
  test('expect as many as came before, and none when they stay away', () => {
    const arrivals = createArrivals()
    expect(arrivals.expected(1000, 0)).toBe(0)
    for (let at = 0; at <= 100; at += 2) arrivals.record(at)
    expect(arrivals.expected(10, 100)).toBeCloseTo(5, 9)
    expect(arrivals.expected(10, 200)).toBeCloseTo(0.1, 9)
  })
})
