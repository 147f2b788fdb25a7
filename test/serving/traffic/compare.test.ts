import { describe, expect, test } from 'vitest'
import { tensorOf } from '../../../src/engine/ir/tensor.ts'
import type { Tensor } from '../../../src/engine/serving.ts'
import { compareOutputs } from '../../../src/serving/traffic/compare.ts'

const tolerance = 0.01
const floats = (dims: number[], ...values: number[]) => tensorOf('float32', dims, Float32Array.from(values))
const compare = async (expected: Tensor, actual: Tensor) => compareOutputs({ y: expected }, { y: actual }, tolerance)

describe('compareOutputs', () => {
  test('finds nothing between equal answers', async () => {
    const scores = floats([2, 3], 1, 2, 3, 3, 2, 1)
    const same = await compare(scores, scores)
    expect(same).toMatchObject({ agrees: true, rows: 2, flips: 0, maxAbs: 0, mismatch: undefined })
    expect(same).toMatchObject({ cosine: 1, means: { expected: 2, actual: 2 } })
  })

  test('of scores counts rows of another best class, and agrees where the best is the same or all are close', async () => {
    const [a, b] = [floats([3, 2], 1, 2, 5, 4, 1, 1.001), floats([3, 2], 0, 9, 4, 5, 1.001, 1)]
    expect(await compare(a, b)).toMatchObject({ agrees: false, rows: 3, flips: 2, maxAbs: 7 })
    expect(await compare(floats([1, 2], 1, 2), floats([1, 2], 0, 9))).toMatchObject({ agrees: true, flips: 0 })
    const tie = [floats([1, 2], 1, 1.001), floats([1, 2], 1.001, 1)] as const
    expect(await compare(...tie)).toMatchObject({ agrees: true, flips: 1 })
  })

  test('of other floats asks for the numbers themselves', async () => {
    expect(await compare(floats([2, 1], 10, 20), floats([2, 1], 10.05, 20))).toMatchObject({ agrees: true, rows: 0 })
    expect(await compare(floats([2, 1], 10, 20), floats([2, 1], 10.5, 20))).toMatchObject({
      agrees: false,
      maxAbs: 0.5,
    })
    expect(await compare(floats([3], 0, 0, 10), floats([3], 0.05, 0, 10))).toMatchObject({ agrees: true })
  })

  test('of integers and strings asks for equality', async () => {
    const labels = (...values: bigint[]) => tensorOf('int64', [values.length, 1], BigInt64Array.from(values))
    expect(await compare(labels(1n, 2n), labels(1n, 3n))).toMatchObject({ agrees: false, rows: 2, flips: 1 })
    expect(await compare(labels(1n), labels(1n))).toMatchObject({ agrees: true, flips: 0, cosine: undefined })
    const text = (value: string): Tensor => ({ dtype: 'string', dims: [1], strings: [Buffer.from(value)] })
    expect(await compare(text('a'), text('a'))).toMatchObject({ agrees: true })
    expect(await compare(text('a'), text('b'))).toMatchObject({ agrees: false, rows: 0 })
  })

  test('takes a NaN or an infinity on one side for a difference, and for none on both', async () => {
    const nan = floats([1, 2], Number.NaN, 1)
    expect(await compare(nan, nan)).toMatchObject({ agrees: true, maxAbs: 0 })
    for (const other of [Number.NaN, Infinity, -Infinity]) {
      const found = await compare(floats([1, 2], 0, 1), floats([1, 2], other, 1))
      expect(found).toMatchObject({ agrees: false, maxAbs: 0 })
      expect(Object.values(found.means).every(Number.isFinite)).toBe(true)
    }
  })

  test('says what is missing, of other dims, or of another dtype', async () => {
    const one = floats([1, 2], 1, 2)
    const mismatches: [Record<string, Tensor>, string][] = [
      [{}, 'y: missing, not float32[1, 2]'],
      [{ y: floats([2, 1], 1, 2) }, 'y: float32[2, 1], not float32[1, 2]'],
      [{ y: tensorOf('float64', [1, 2], Float64Array.of(1, 2)) }, 'y: float64[1, 2], not float32[1, 2]'],
    ]
    for (const [actual, mismatch] of mismatches) {
      expect(await compareOutputs({ y: one }, actual, tolerance)).toMatchObject({ agrees: false, mismatch })
    }
  })

  test('gives the cosine of the output that turned most, and bears zeros and empty outputs', async () => {
    const expected = { a: floats([1, 2], 1, 0), b: floats([1, 2], 1, 0) }
    const actual = { a: floats([1, 2], 2, 0), b: floats([1, 2], 0, 1) }
    expect((await compareOutputs(expected, actual, tolerance)).cosine).toBe(0)
    expect(await compare(floats([1, 2], 0, 0), floats([1, 2], 0, 0))).toMatchObject({ cosine: 1, agrees: true })
    expect(await compare(floats([0, 2]), floats([0, 2]))).toMatchObject({ agrees: true, cosine: undefined, rows: 0 })
    expect(await compare(floats([2, 0]), floats([2, 0]))).toMatchObject({ agrees: true, cosine: undefined })
  })

  test('reads large outputs in parts, rows across them included, and half floats', async () => {
    const values = Float32Array.from({ length: 3 * 50_000 }, (_, index) => index % 50_000)
    const other = values.slice()
    other[49_999] = -1
    const [a, b] = [tensorOf('float32', [3, 50_000], values), tensorOf('float32', [3, 50_000], other)]
    expect(await compare(a, b)).toMatchObject({ agrees: false, rows: 3, flips: 1, maxAbs: 50_000 })
    const half = (...numbers: number[]): Tensor => {
      return { dtype: 'float16', dims: [1, 2], bytes: new Uint8Array(Float16Array.from(numbers).buffer) }
    }
    expect(await compare(half(1, 2), half(1, 2.5))).toMatchObject({ agrees: true, maxAbs: 0.5 })
  })
})
