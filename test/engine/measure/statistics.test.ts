import { describe, expect, it } from 'vitest'
import { createRandom, sampleNormal } from '../../../src/engine/data/random.ts'
import { bootstrap, estimateRatio, type Rounds } from '../../../src/engine/measure/bootstrap.ts'
import { meanOf, medianOf, quantileOf, summarizeLatency } from '../../../src/engine/measure/statistics.ts'
import { judgeSpeedup, noiseFloor } from '../../../src/engine/measure/verdict.ts'

describe('quantileOf', () => {
  it('interpolates between order statistics (type 7)', () => {
    // numpy.quantile([1, 2, 4, 8], [0, .25, .5, .9, 1]) → 1, 1.75, 3, 6.8, 8
    expect([0, 0.25, 0.5, 0.9, 1].map((p) => quantileOf([1, 2, 4, 8], p))).toEqual([1, 1.75, 3, 6.800000000000001, 8])
  })

  it('is defined for one value and NaN for none', () => {
    expect(quantileOf([5], 0.99)).toBe(5)
    expect(quantileOf([], 0.5)).toBeNaN()
    expect(medianOf([])).toBeNaN()
    expect(meanOf([])).toBeNaN()
  })
})

it('summarizes latencies', () => {
  const runs = Array.from({ length: 101 }, (_, index) => 100 - index)
  const stats = summarizeLatency(runs)
  expect(stats).toMatchObject({ p50_ms: 50, p90_ms: 90, p95_ms: 95, p99_ms: 99, min_ms: 0, mad_ms: 25, runs: 101 })
  expect(stats.percentiles_ms.map(Math.round)).toEqual(runs.toReversed())
})

interface Series {
  readonly rounds?: number
  readonly runs?: number
  /** The latency without noise, given how far the measurement has come (0…1). */
  readonly level: (progress: number) => number
  readonly noise?: number
}

/** Rounds of one model with noise that all runs of a round share and noise of each run, both multiplicative. */
function makeRounds(seed: number, { rounds = 30, runs = 20, level, noise = 0.02 }: Series): Rounds {
  const random = createRandom(seed)
  return Array.from({ length: rounds }, (_, round) => {
    const shared = 1 + noise * sampleNormal(random)
    return Array.from({ length: runs }, () => level(round / rounds) * shared * (1 + noise * sampleNormal(random)))
  })
}

const options = { seed: 7, resamples: 2000 }
const judge = (a: Rounds, b: Rounds, again: Rounds) =>
  judgeSpeedup(estimateRatio(a, b, options), estimateRatio(a, again, options))

describe('estimateRatio', () => {
  it('covers 1 for identical series, and they are the same', () => {
    const series = (seed: number) => makeRounds(seed, { level: () => 2 })
    const { p50, ci95 } = estimateRatio(series(1), series(2), options)
    expect(p50).toBeCloseTo(1, 1)
    expect(ci95[0]).toBeLessThan(1)
    expect(ci95[1]).toBeGreaterThan(1)
    expect(judge(series(1), series(2), series(3))).toBe('same')
  })

  it('finds a factor of two in either direction', () => {
    const slow = makeRounds(1, { level: () => 2 })
    const fast = makeRounds(2, { level: () => 1 })
    const { p50, ci95 } = estimateRatio(slow, fast, options)
    expect(p50).toBeCloseTo(2, 1)
    expect(ci95[0]).toBeGreaterThan(1.9)
    expect(ci95[1]).toBeLessThan(2.1)
    expect(judge(slow, fast, makeRounds(3, { level: () => 2 }))).toBe('faster')
    expect(judge(fast, slow, makeRounds(3, { level: () => 1 }))).toBe('slower')
  })

  it('is the same for the same seed, and covers the truth about as often as it says', () => {
    const a = makeRounds(1, { level: () => 2 })
    expect(estimateRatio(a, makeRounds(2, { level: () => 2 }), options)).toEqual(
      estimateRatio(a, makeRounds(2, { level: () => 2 }), options),
    )
    const covered = Array.from({ length: 100 }, (_, trial) => {
      const pair = [2 * trial + 10, 2 * trial + 11].map((seed) => makeRounds(seed, { runs: 5, level: () => 1 }))
      const [low, high] = estimateRatio(pair[0]!, pair[1]!, { seed: trial, resamples: 400 }).ci95
      return low <= 1 && 1 <= high
    }).filter(Boolean).length
    expect(covered).toBeGreaterThanOrEqual(86)
  })

  it('is not fooled by drift that interleaved rounds share, unlike one series after the other', () => {
    // The host slows down by a half while measuring.
    const drift = (progress: number) => 1 + progress / 2
    const a = makeRounds(1, { level: drift })
    const b = makeRounds(2, { level: drift })
    expect(judge(a, b, makeRounds(3, { level: drift }))).toBe('same')
    const first = makeRounds(1, { level: (progress) => drift(progress / 2) })
    const second = makeRounds(2, { level: (progress) => drift(0.5 + progress / 2) })
    expect(estimateRatio(second, first, options).ci95[0]).toBeGreaterThan(1.1)
  })

  it('resamples rounds, so noise that a round shares widens the interval', () => {
    const width = (rounds: Rounds, others: Rounds) => {
      const [low, high] = estimateRatio(rounds, others, options).ci95
      return high - low
    }
    const shared = width(makeRounds(1, { level: () => 1, noise: 0.1 }), makeRounds(2, { level: () => 1, noise: 0.1 }))
    // The same runs dealt out to rounds at random have lost what they share.
    const deal = (rounds: Rounds) => {
      const flat = rounds.flat()
      return rounds.map((_, round) => flat.filter((_, index) => index % rounds.length === round))
    }
    const dealt = [1, 2].map((seed) => deal(makeRounds(seed, { level: () => 1, noise: 0.1 })))
    expect(shared).toBeGreaterThan(2 * width(dealt[0]!, dealt[1]!))
  })

  it('agrees with medians over materialised resamples', () => {
    const a: Rounds = [[1, 2, 3, 4], [5, 6], [7]]
    const expected: number[] = []
    bootstrap(3, { seed: 3, resamples: 50 }, (weights) => {
      expected.push(medianOf(a.flatMap((runs, round) => Array.from({ length: weights[round]! }, () => runs).flat())))
      return 0
    })
    const ones: Rounds = [[1], [1], [1]]
    const { ci95 } = estimateRatio(a, ones, { seed: 3, resamples: 50 })
    expected.sort((x, y) => x - y)
    expect(ci95).toEqual([quantileOf(expected, 0.025), quantileOf(expected, 0.975)])
  })
})

describe('judgeSpeedup', () => {
  const estimate = (low: number, high: number) => ({ p50: (low + high) / 2, ci95: [low, high] as const })

  it('takes the worse side of the A/A interval as the floor', () => {
    expect(noiseFloor(estimate(0.98, 1.01))).toBeCloseTo(1 / 0.98)
    expect(noiseFloor(estimate(0.99, 1.04))).toBe(1.04)
    expect(noiseFloor(estimate(1.02, 1.03))).toBe(1.03)
  })

  it.each([
    [estimate(1.05, 1.1), estimate(0.99, 1.04), 'faster'],
    [estimate(1.03, 1.1), estimate(0.99, 1.04), 'same'],
    [estimate(0.9, 1.5), estimate(0.99, 1.01), 'same'],
    [estimate(0.8, 0.95), estimate(0.99, 1.04), 'slower'],
    [estimate(0.8, 0.97), estimate(0.99, 1.04), 'same'],
  ])('%j against noise %j is %s', (speedup, noise, verdict) => {
    expect(judgeSpeedup(speedup, noise)).toBe(verdict)
  })
})
