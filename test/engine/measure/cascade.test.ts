import { describe, expect, test } from 'vitest'
import { cascadeTable, type CascadeSample } from '../../../src/engine/measure/cascade.ts'

const sample = (confidence: number, smallRight: boolean, largeRight = true): CascadeSample => ({
  confidence,
  smallRight,
  largeRight,
})
const times = { smallMs: 1, largeMs: 10 }

describe('the thresholds of a cascade', () => {
  const samples = [sample(0.9, true), sample(0.4, false), sample(0.6, true), sample(0.8, true, false)]

  test('say what each costs and gives', () => {
    const { points, small, large } = cascadeTable(samples, times)
    expect([small, large]).toEqual([0.75, 0.75])
    expect(points).toEqual([
      { threshold: 0, share: 0, accuracy: 0.75, latencyMs: 1 },
      { threshold: 0.5, share: 0.25, accuracy: 1, latencyMs: 3.5 },
      { threshold: 0.7, share: 0.5, accuracy: 1, latencyMs: 6 },
      { threshold: (0.8 + 0.9) / 2, share: 0.75, accuracy: 0.75, latencyMs: 8.5 },
      { threshold: 0.95, share: 1, accuracy: 0.75, latencyMs: 11 },
    ])
  })

  test('choose the fastest that is as accurate as asked, or as the large model', () => {
    expect(cascadeTable(samples, times).choice?.share).toBe(0)
    expect(cascadeTable(samples, { ...times, minAccuracy: 0.9 }).choice?.threshold).toBe(0.5)
    const hopeless = cascadeTable([sample(0.5, false, false)], { ...times, minAccuracy: 0.5 })
    expect(hopeless).toMatchObject({ choice: null, deltaInterval: null })
  })

  test('never split samples of one confidence, and send none of confidence 1', () => {
    const { points } = cascadeTable([sample(0.5, false), sample(0.5, true), sample(1, true)], times)
    expect(points.map(({ threshold, share }) => [threshold, share])).toEqual([
      [0, 0],
      [0.75, 2 / 3],
    ])
  })

  test('show some of many points, the first and the last among them; the interval is that of the difference', () => {
    const many = Array.from({ length: 1000 }, (_, index) => sample(index / 1001, index > 300))
    const { points, choice, deltaInterval } = cascadeTable(many, times)
    expect(points).toHaveLength(21)
    expect(points[0]?.share).toBe(0)
    expect(points.at(-1)?.share).toBe(1)
    expect(choice?.share).toBe(0.301)
    expect(deltaInterval).toEqual([0, 0])
    const lossy = cascadeTable(many, { ...times, minAccuracy: 0.8 })
    expect(lossy.choice?.accuracy).toBe(0.8)
    expect(lossy.deltaInterval?.[0]).toBeLessThan(-0.2)
    expect(lossy.deltaInterval?.[1]).toBeGreaterThan(-0.2)
  })
})
