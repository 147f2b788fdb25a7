import { expect, test } from 'vitest'
import {
  affineParams,
  biasWidening,
  dequantizeValue,
  quantizeBias,
  quantizeValue,
  roundHalfEven,
  type AffineOptions,
} from '../../../src/engine/calibrate/affine.ts'
import { quantizeWeight } from '../../../src/engine/calibrate/quantize-weight.ts'
import { viewOf } from '../../../src/engine/ir/tensor.ts'
import golden from '../../fixtures/engine/quantization.json' with { type: 'json' }

const kinds: Record<string, AffineOptions> = {
  uint8: { dtype: 'uint8', symmetric: false },
  int8: { dtype: 'int8', symmetric: false },
  'int8 symmetric': { dtype: 'int8', symmetric: true },
  'uint8 reduced': { dtype: 'uint8', symmetric: false, reduceRange: true },
  'int8 symmetric reduced': { dtype: 'int8', symmetric: true, reduceRange: true },
}

test.each(golden.params)('$kind of [$min, $max] has the scale and zero point of the reference tools', (row) => {
  const options = kinds[row.kind] as AffineOptions
  const params = affineParams({ min: row.min, max: row.max }, options)
  expect(params.zeroPoint).toBe(row.zeroPoint)
  expect(Math.abs(params.scale - row.scale)).toBeLessThanOrEqual(row.scale * 2 ** -23)
})

test.each(golden.integers)(
  '$dtype scale $scale zero point $zeroPoint gives the integers of the reference tools',
  (row) => {
    const [low, high] = row.dtype === 'uint8' ? [0, 255] : [-128, 127]
    const params = { dtype: row.dtype as 'uint8' | 'int8', scale: row.scale, zeroPoint: row.zeroPoint, low, high }
    expect(row.values.map((value) => quantizeValue(value, params))).toEqual(row.integers)
  },
)

test.each([
  [0.5, 0],
  [1.5, 2],
  [2.5, 2],
  [-0.5, 0],
  [-1.5, -2],
  [-2.5, -2],
  [2.4999, 2],
  [2.5001, 3],
  [254.5, 254],
])('%f rounds to %i, halves to even', (value, rounded) => {
  expect(roundHalfEven(value)).toBe(rounded)
})

test('zero is exact in every range that asymmetric parameters are made of', () => {
  for (const [min, max] of [
    [-0.37, 1.9],
    [0.2, 5],
    [-7, -3],
    [-1e-30, 1e30],
  ] as const) {
    const params = affineParams({ min, max }, { dtype: 'uint8', symmetric: false })
    expect(dequantizeValue(quantizeValue(0, params), params)).toBe(0)
  }
})

test('a range too narrow for a normal float32 scale gets scale 1', () => {
  expect(affineParams({ min: 0, max: 1e-40 }, { dtype: 'uint8', symmetric: false })).toMatchObject({
    scale: 1,
    zeroPoint: 0,
  })
})

const everyType = (['uint8', 'int8', 'uint16', 'int16', 'uint4', 'int4'] as const).flatMap((dtype) => [
  { dtype, symmetric: false },
  { dtype, symmetric: true },
])

/** Repeatable numbers from 0 to 1. */
function random(seed: number): () => number {
  let state = seed
  return () => (state = (state * 48271) % 2147483647) / 2147483647
}

test.each(everyType)(
  '$dtype, symmetric $symmetric: back is off by at most half a step, for any range and value in it',
  (options) => {
    const next = random(7)
    for (let round = 0; round < 200; round += 1) {
      const size = 10 ** (12 * next() - 6)
      const [one, other] = [(2 * next() - 1) * size, (2 * next() - 1) * size]
      const [min, max] = [Math.min(one, other), Math.max(one, other)]
      const params = affineParams({ min, max }, options)
      for (let sample = 0; sample <= 40; sample += 1) {
        const value = sample === 0 ? min : sample === 1 ? max : min + (max - min) * next()
        const integer = quantizeValue(value, params)
        expect(integer).toBeGreaterThanOrEqual(params.low)
        expect(integer).toBeLessThanOrEqual(params.high)
        const error = Math.abs(dequantizeValue(integer, params) - value)
        // The scale is rounded to float32, which moves the ends of the range by a little.
        expect(error).toBeLessThanOrEqual(params.scale * (0.5 + 2 ** -8))
      }
    }
  },
)

test.each(everyType)('$dtype, symmetric $symmetric: an integer comes back as itself, and order is kept', (options) => {
  const next = random(11)
  for (let round = 0; round < 50; round += 1) {
    const params = affineParams({ min: -next() * 9, max: next() * 9 }, options)
    const { low, high } = params
    const step = Math.max(1, Math.floor((high - low) / 64))
    let before = Number.NEGATIVE_INFINITY
    for (let integer = low; integer <= high; integer += step) {
      const value = dequantizeValue(integer, params)
      expect(quantizeValue(value, params)).toBe(integer)
      expect(value).toBeGreaterThan(before)
      before = value
    }
  }
})

test('per-channel weights use the whole range of each channel', () => {
  const values = Float32Array.of(1, -2, 0.5, 100, 50, -25)
  const rows = quantizeWeight(values, [2, 3], { axis: 0, reduceRange: false })
  expect(Array.from(viewOf(rows.tensor, 'int8'))).toEqual([64, -127, 32, 127, 64, -32])
  expect(rows.scales[0]).toBeCloseTo(2 / 127, 7)
  expect(rows.scales[1]).toBeCloseTo(100 / 127, 5)
  const columns = quantizeWeight(values, [2, 3], { axis: 1, reduceRange: false })
  expect(Array.from(viewOf(columns.tensor, 'int8'))).toEqual([1, -5, 3, 127, 127, -127])
  const single = quantizeWeight(values, [2, 3], { axis: undefined, reduceRange: true })
  expect(Array.from(viewOf(single.tensor, 'int8'))).toEqual([1, -1, 0, 64, 32, -16])
})

test('a channel of zeros has scale 1 and no NaN', () => {
  const { tensor, scales } = quantizeWeight(new Float32Array(4), [2, 2], { axis: 0, reduceRange: false })
  expect(Array.from(viewOf(tensor, 'int8'))).toEqual([0, 0, 0, 0])
  expect(Array.from(scales)).toEqual([1, 1])
})

test('a bias is int32 in units of input scale times weight scale', () => {
  const { tensor, scales } = quantizeBias([1, -0.5, 0.125], 0.5, Float32Array.of(0.25, 0.5, 1))
  expect(Array.from(scales)).toEqual([0.125, 0.25, 0.5])
  expect(Array.from(viewOf(tensor, 'int32'))).toEqual([8, -2, 0])
})

test('weights so small that the bias would saturate get wider scales, the others keep theirs', () => {
  const weightScales = Float32Array.of(1e-12, 0.01)
  const widen = biasWidening([4, 4], 0.01, weightScales)
  expect(widen[1]).toBe(1)
  expect(widen[0]).toBeGreaterThan(1)
  const scales = weightScales.map((scale, channel) => scale * (widen[channel] as number))
  const { tensor, scales: units } = quantizeBias([4, 4], 0.01, scales)
  const [first] = viewOf(tensor, 'int32')
  expect(first).toBeLessThan(2 ** 31 - 1)
  expect((first as number) * (units[0] as number)).toBeCloseTo(4, 3)
  // Without the guard the bias would be cut to a hundredth of itself.
  const cut = quantizeBias([4, 4], 0.01, weightScales)
  expect((viewOf(cut.tensor, 'int32')[0] as number) * (cut.scales[0] as number)).toBeLessThan(0.05)
})
