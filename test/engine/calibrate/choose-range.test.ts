import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import type { AffineOptions, Range } from '../../../src/engine/calibrate/affine.ts'
import { chooseRange, type HistogramMethod } from '../../../src/engine/calibrate/choose-range.ts'
import {
  addValues,
  coarsen,
  createHistogram,
  createLanes,
  growHistogram,
  type Histogram,
} from '../../../src/engine/calibrate/histogram.ts'

interface GoldenRange {
  readonly shape: keyof typeof shapes
  readonly method: HistogramMethod
  readonly symmetric: boolean
  readonly percentile: number
  readonly min: number
  readonly max: number
}

const fixture = new URL('../../fixtures/engine/calibration.json', import.meta.url)
const { ranges: golden } = JSON.parse(readFileSync(fixture, 'utf8')) as { ranges: GoldenRange[] }

// The generator of test/fixtures/engine/calibration.py, so that both sides count the same numbers.
function uniform(count: number): Float64Array {
  let state = 12345n
  return Float64Array.from({ length: count }, () => {
    state = (state * 1103515245n + 12345n) % 2n ** 31n
    return Number(state) / 2 ** 31
  })
}

const count = 20011
const quarters = uniform(count * 4)
const bell = Float64Array.from(
  { length: count },
  (_, index) => quarters.subarray(index * 4, index * 4 + 4).reduce((sum, value) => sum + value, 0) - 2,
)
const shapes = {
  bell,
  rectified: bell.map((value) => Math.max(value, 0)),
  heavy: bell.map((value) => value ** 5),
  shifted: bell.map((value) => value * 0.5 + 0.4),
  uniform: uniform(count).map((value) => value * 2 - 1),
}

function countedOf(source: Float64Array): { histogram: Histogram; seen: Range } {
  const values = Float32Array.from(source)
  const seen = { min: Math.min(...values), max: Math.max(...values) }
  const histogram = createHistogram(Math.max(Math.abs(seen.min), Math.abs(seen.max)))
  addValues(histogram, values, createLanes())
  return { histogram, seen }
}

const uint8: AffineOptions = { dtype: 'uint8', symmetric: false }
const base = { percentile: 99.999, affine: uint8 }

test.each(golden)('percentile $percentile of $shape is that of onnxruntime, within one of its bins', (row) => {
  const { histogram, seen } = countedOf(shapes[row.shape])
  const range = chooseRange(histogram, seen, { ...row, affine: { ...uint8, symmetric: row.symmetric } })
  const bin = (2 * histogram.threshold) / 2048
  expect(Math.abs(range.min - row.min)).toBeLessThanOrEqual(bin * 1.001)
  expect(Math.abs(range.max - row.max)).toBeLessThanOrEqual(bin * 1.001)
})

test('a percentile leaves out the share it says, and 100 is the extremes', () => {
  const { histogram, seen } = countedOf(shapes.heavy)
  expect(chooseRange(histogram, seen, { ...base, method: 'percentile', percentile: 100 })).toEqual(seen)
  const range = chooseRange(histogram, seen, { ...base, method: 'percentile', percentile: 98 })
  const outside = shapes.heavy.filter((value) => value < range.min || value > range.max).length
  expect(outside / count).toBeCloseTo(0.02, 2)
})

test.each(Object.keys(shapes) as (keyof typeof shapes)[])(
  'entropy of %s is the least divergence, by the definition',
  (shape) => {
    const { histogram, seen } = countedOf(shapes[shape])
    const range = chooseRange(histogram, seen, { ...base, method: 'entropy' })
    const wanted = naiveEntropy(coarsen(histogram, 4))
    expect(range.max).toBeCloseTo(Math.min(wanted, seen.max), 6)
    expect(range.min).toBeCloseTo(Math.max(-wanted, seen.min), 6)
  },
)

/** Every candidate spelled out, bin by bin. */
function naiveEntropy({ counts, threshold }: Histogram): number {
  const half = counts.length / 2
  const all = Array.from(counts)
  const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0)
  let best = { bins: half, divergence: Number.POSITIVE_INFINITY }
  for (let bins = 64; bins <= half; bins += 1) {
    const slice = all.slice(half - bins, half + bins)
    const p = [...slice]
    p[0] = (p[0] as number) + sum(all.slice(0, half - bins))
    p[p.length - 1] = (p.at(-1) as number) + sum(all.slice(half + bins))
    const width = Math.floor(slice.length / 128)
    const q = slice.map((_, bin) => {
      const group = Math.min(127, Math.floor(bin / width))
      const [from, to] = [group * width, group === 127 ? slice.length : (group + 1) * width]
      const filled = p.slice(from, to).filter((value) => value > 0).length
      return filled === 0 ? 0 : Math.max(sum(slice.slice(from, to)) / filled, 1e-4)
    })
    const [totalP, totalQ] = [sum(p), sum(slice)]
    const divergence = sum(
      p.map((value, bin) =>
        value > 0 ? (value / totalP) * Math.log(value / totalP / ((q[bin] as number) / totalQ)) : 0,
      ),
    )
    if (divergence < best.divergence - 1e-12) best = { bins, divergence }
  }
  return (best.bins / half) * threshold
}

test('entropy cuts far outliers: it is never the search of one candidate that 128 bins are', () => {
  const { histogram, seen } = countedOf(shapes.heavy)
  const range = chooseRange(histogram, seen, { ...base, method: 'entropy' })
  expect(range.max).toBeLessThan(seen.max / 2)
})

test.each([
  ['asymmetric', uint8],
  ['symmetric', { dtype: 'int8', symmetric: true } as const],
])('mse: no %s range of a fine grid has a clearly smaller error', (_what, affine) => {
  const { histogram, seen } = countedOf(shapes.heavy)
  const errorOf = ({ min, max }: Range) => {
    const [low, high] = affine.symmetric ? [-Math.max(-min, max), Math.max(-min, max)] : [min, max]
    const step = (high - low) / (affine.symmetric ? 254 : 255)
    return shapes.heavy.reduce((sum, value) => {
      const clipped = Math.min(high, Math.max(low, value))
      return sum + (value - low - Math.round((clipped - low) / step) * step) ** 2
    }, 0)
  }
  const chosen = errorOf(chooseRange(histogram, seen, { ...base, method: 'mse', affine }))
  expect(chosen).toBeLessThan(errorOf(seen))
  for (let low = 0.1; low <= 1; low += 0.1) {
    for (let high = 0.1; high <= 1; high += 0.1) {
      expect(chosen).toBeLessThan(1.05 * errorOf({ min: seen.min * low, max: seen.max * high }))
    }
  }
})

test('a tensor that is zero everywhere keeps its range of no width', () => {
  const { histogram, seen } = countedOf(new Float64Array(10))
  for (const method of ['percentile', 'entropy', 'mse'] as const) {
    const range = chooseRange(histogram, seen, { ...base, method })
    expect([range.min + 0, range.max + 0]).toEqual([0, 0])
  }
})

test('every value is counted once, in its bin, in short and in long arrays', () => {
  const values = Float32Array.from({ length: 3 * 2 ** 14 + 3 }, (_, index) => ((index * 7919) % 4001) / 2000 - 1)
  const lanes = createLanes()
  const long = createHistogram(1)
  addValues(long, values, lanes)
  const short = createHistogram(1)
  for (let start = 0; start < values.length; start += 1000)
    addValues(short, values.subarray(start, start + 1000), lanes)
  expect(Array.from(long.counts)).toEqual(Array.from(short.counts))
  expect(long.counts.reduce((sum, each) => sum + each, 0)).toBe(values.length)
  const ends = createHistogram(2)
  addValues(ends, Float32Array.of(-2, 0, 2), lanes)
  expect([ends.counts[0], ends.counts[4096], ends.counts[8191]]).toEqual([1, 1, 1])
})

test('a histogram that grew holds every value in a bin that it belongs to, and is less than twice too wide', () => {
  const histogram = createHistogram(0)
  const values = Array.from({ length: 40 }, (_, index) => (-1.7) ** index / 1000)
  const lanes = createLanes()
  addValues(histogram, Float32Array.of(0, 0), lanes)
  for (const value of values) {
    growHistogram(histogram, Math.abs(value))
    addValues(histogram, Float32Array.of(value), lanes)
  }
  const { threshold, counts } = histogram
  const largest = Math.max(...values.map(Math.abs))
  expect(threshold).toBeGreaterThanOrEqual(Math.fround(largest))
  expect(threshold).toBeLessThan(2.001 * largest)
  const direct = createHistogram(threshold)
  addValues(direct, Float32Array.from([0, 0, ...values]), lanes)
  expect(Array.from(counts)).toEqual(Array.from(direct.counts))
})
