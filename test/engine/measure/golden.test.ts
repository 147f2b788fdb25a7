import { Check } from 'typebox/value'
import { describe, expect, test } from 'vitest'
import { stringTensor, tensorOf } from '../../../src/engine/ir/tensor.ts'
import {
  findDifference,
  goldenSchema,
  recordGolden,
  roundingOptions,
  type Conditions,
} from '../../../src/engine/measure/golden.ts'

const here: Conditions = { architecture: 'x64', isa: ['avx2', 'fma'], runtime: '1.30.0', session: roundingOptions({}) }
const elsewhere: Conditions = { ...here, isa: ['avx2', 'avx512_vnni', 'fma'] }
const floats = (...values: number[]) => tensorOf('float32', [values.length], Float32Array.from(values))
const golden = (outputs: Parameters<typeof recordGolden>[0][0], conditions = here) => {
  // As it comes back from the database.
  const stored = JSON.parse(JSON.stringify(recordGolden([outputs, outputs], conditions))) as unknown
  if (!Check(goldenSchema, stored)) throw new Error('not what the schema says')
  return stored
}

test('what is the same is the same, whatever its type', () => {
  const outputs = {
    y: floats(1, -2, Number.NaN, Infinity),
    half: tensorOf('float16', [2], Uint16Array.of(0x3c00, 0x7c00)),
    wide: tensorOf('float64', [1], Float64Array.of(Math.PI)),
    label: tensorOf('int64', [1], BigInt64Array.of(3n)),
    text: stringTensor([2], ['a', 'bc']),
    none: floats(),
  }
  expect(findDifference(golden(outputs), outputs, here)).toBeUndefined()
  expect(findDifference(golden(outputs), outputs, elsewhere)).toBeUndefined()
})

describe('under the same conditions', () => {
  test('rounding passes, and more does not', () => {
    const kept = golden({ y: floats(1, 100, 0) })
    expect(findDifference(kept, { y: floats(1.05, 100, -0.05) }, here)).toBeUndefined()
    expect(findDifference(kept, { y: floats(1.2, 100, 0) }, here)).toBe(
      "output 'y' is 0.20 % off what it was, 0.1 % being allowed",
    )
  })

  test.each([
    ['a missing output', {}, /'y' is missing/],
    ['other dims', { y: floats(1, 2) }, /'y' has dims \[2\], and had \[3\]/],
    ['another dtype', { y: tensorOf('int32', [3], Int32Array.of(1, 2, 3)) }, /'y' is int32, and was float32/],
    ['NaN', { y: floats(1, 2, Number.NaN) }, /'y' is another than it was/],
    ['values where nothing was', { y: floats(1, 2, 3), z: floats(1) }, /'z' is another than it was/],
    [
      'another label',
      { y: floats(1, 2, 3), z: floats(0), n: tensorOf('int8', [1], Int8Array.of(2)) },
      /'n' is another/,
    ],
  ])('%s is told', (_, outputs, reason) => {
    const kept = golden({ y: floats(1, 2, 3), z: floats(0), n: tensorOf('int8', [1], Int8Array.of(1)) })
    expect(findDifference(kept, outputs, here)).toMatch(reason)
  })
})

describe('under other conditions', () => {
  const kept = golden({ y: floats(3, -4, 0, 12), n: tensorOf('int64', [1], BigInt64Array.of(3n)) })
  const label = (n: bigint) => tensorOf('int64', [1], BigInt64Array.of(n))

  test.each([
    ['another instruction set', elsewhere],
    ['another runtime', { ...here, runtime: '1.31.0' }],
    ['another level of optimization', { ...here, session: roundingOptions({ optimizationLevel: 'basic' }) }],
  ])('a few roundings of integers pass: %s', (_, conditions) => {
    expect(findDifference(kept, { y: floats(3.1, -4.1, 0.1, 12.2), n: label(3n) }, here)).toBeDefined()
    expect(findDifference(kept, { y: floats(3.1, -4.1, 0.1, 12.2), n: label(4n) }, conditions)).toBeUndefined()
  })

  test('another answer does not', () => {
    expect(findDifference(kept, { y: floats(3, -4, 0, 10), n: label(3n) }, elsewhere)).toMatch(/'y' is 15 % off/)
    const labels = golden({ n: label(3n) })
    expect(findDifference(labels, { n: label(4n) }, elsewhere)).toMatch(/'n' is another/)
  })
})

test('of a large output a bounded part is kept, and the rest by its hash', () => {
  const values = Float32Array.from({ length: 100_000 }, (_, index) => Math.sin(index))
  const kept = golden({ y: tensorOf('float32', [1, values.length], values) })
  expect(JSON.stringify(kept).length).toBeLessThan(50_000)
  const shifted = tensorOf(
    'float32',
    [1, values.length],
    values.map((value) => value + 0.1),
  )
  expect(findDifference(kept, { y: shifted }, here)).toMatch(/'y' is 10 % off/)
})

test('a model that answers otherwise each time has nothing to be compared with', () => {
  const kept = recordGolden([{ y: floats(1) }, { y: floats(2) }], here)
  expect(kept).toEqual({ conditions: here, outputs: null })
  expect(findDifference(kept, { y: floats(3) }, here)).toBeUndefined()
})

test('options that change no rounding are no conditions', () => {
  expect(roundingOptions({ intraOpThreads: 3, spinning: false })).toEqual(
    roundingOptions({ providers: [{ name: 'cpu' }] }),
  )
})
