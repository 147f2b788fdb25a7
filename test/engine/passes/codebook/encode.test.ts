import { describe, expect, test } from 'vitest'
import { createRandom } from '../../../../src/engine/data/random.ts'
import { checkBits, decode, encode, nearest } from '../../../../src/engine/passes/codebook/encode.ts'
import { fixedTables } from '../../../../src/engine/passes/codebook/fixed-tables.ts'
import { findCenters } from '../../../../src/engine/passes/codebook/k-means.ts'
import { splitPlanes } from '../../../../src/engine/passes/codebook/planes.ts'
import { noise } from '../support.ts'

const values = Float32Array.from({ length: 600 }, (_, index) => noise(index) ** 3)
const random = () => createRandom(1)

describe.each(Array.from({ length: 15 }, (_, index) => index + 2))('linear in %s bits', (bits) => {
  const encoded = encode(values, 100, { scheme: 'linear', bits, random: random() })

  test('is the textbook form, and an error is at most half a step', () => {
    const decoded = decode(encoded, 100)
    for (let group = 0; group < 6; group += 1) {
      const part = [...values.subarray(group * 100, group * 100 + 100)]
      const [min, max] = [Math.min(...part), Math.max(...part)]
      const step = (max - min) / (2 ** bits - 1)
      for (const [offset, value] of part.entries()) {
        const index = group * 100 + offset
        const expected = Math.round(((value - min) / (max - min)) * (2 ** bits - 1))
        // In float32 a value between two levels may fall to the other.
        expect(Math.abs((encoded.indices[index] as number) - expected)).toBeLessThanOrEqual(bits > 12 ? 1 : 0)
        expect(Math.abs(value - (decoded[index] as number))).toBeLessThanOrEqual(step / 2 + 2e-7)
      }
    }
  })

  test('the ends of a range stay', () => {
    const part = values.subarray(0, 100)
    const decoded = decode(encoded, 100)
    expect(decoded[part.indexOf(Math.min(...part))]).toBe(Math.min(...part))
    expect(decoded[part.indexOf(Math.max(...part))]).toBeCloseTo(Math.max(...part), 6)
  })
})

test('planes hold exactly the bits of the indices', () => {
  for (let bits = 1; bits <= 16; bits += 1) {
    const indices = Uint16Array.from({ length: 37 }, (_, index) => (index * 2654435761) % 2 ** bits)
    const planes = splitPlanes(indices, bits)
    const restored = indices.map((_, index) =>
      planes.reduce((sum, plane) => {
        const perByte = 8 / plane.bits
        const byte = plane.bytes[Math.floor(index / perByte)] as number
        const part = (byte >> (plane.bits * (index % perByte))) & (2 ** plane.bits - 1)
        return sum + part * 2 ** plane.shift
      }, 0),
    )
    expect(restored).toEqual(indices)
    const size = planes.reduce((sum, { bytes }) => sum + bytes.length, 0)
    expect(size).toBeLessThanOrEqual(Math.ceil((37 * bits) / 8) + planes.length - 1)
  }
})

test('a value between two entries goes to the nearer, at the ends and on the border too', () => {
  const table = Float32Array.of(-1, 0, 2)
  expect([-5, -0.6, -0.5, -0.4, 0.9, 1, 1.1, 7].map((value) => nearest(table, value))).toEqual([0, 0, 0, 1, 1, 1, 2, 2])
})

test('the tables have the values of their papers', () => {
  const nf4 = fixedTables.nf4()
  expect(nf4).toHaveLength(16)
  expect([nf4[0], nf4[7], nf4[15]]).toEqual([-1, 0, 1])
  expect([...fixedTables.fp4()].map((value) => Math.round(value * 60) / 10)).toEqual([
    -6, -4, -3, -2, -1.5, -1, -0.5, 0, 0.5, 1, 1.5, 2, 3, 4, 6,
  ])
  expect([...fixedTables.log2(3)]).toEqual([-1, -0.5, -0.25, 0, 0.25, 0.5, 1])
  for (const table of [nf4, fixedTables.fp4(), fixedTables.log2(6)]) expect(table.toSorted()).toEqual(table)
})

test('log2 gives powers of two and zero only', () => {
  const decoded = decode(encode(values, 600, { scheme: 'log2', bits: 4, random: random() }), 600)
  for (const value of decoded) if (value !== 0) expect(Number.isInteger(Math.log2(Math.abs(value)))).toBe(true)
})

describe('k-means', () => {
  test('finds the values where there are no more of them than centers', () => {
    const few = Float32Array.from({ length: 64 }, (_, index) => [-2, 0.5, 3][index % 3] as number)
    expect([...findCenters(few, 4, random())]).toEqual([-2, 0.5, 3])
  })

  test('is better than uniform levels on weights that are not uniform, and the same for the same seed', () => {
    const errorOf = (scheme: 'linear' | 'kmeans') => {
      const decoded = decode(encode(values, 600, { scheme, bits: 3, random: random() }), 600)
      return values.reduce((sum, value, index) => sum + (value - (decoded[index] as number)) ** 2, 0)
    }
    expect(errorOf('kmeans')).toBeLessThan(0.5 * errorOf('linear'))
    expect(findCenters(values, 8, random())).toEqual(findCenters(values, 8, random()))
  })

  test('takes a histogram where values are many', () => {
    const many = Float32Array.from({ length: 20_000 }, (_, index) => noise(index, 3))
    const centers = findCenters(many, 4, random())
    // Of values spread evenly over −1…1 the best four are at ±0.25 and ±0.75.
    centers.forEach((center, index) => expect(center).toBeCloseTo([-0.75, -0.25, 0.25, 0.75][index] as number, 1))
  })
})

test.each([
  ['kmeans', 9],
  ['log2', 7],
  ['nf4', 5],
] as const)('%s has no %s bits', (scheme, bits) => {
  expect(checkBits(scheme, bits)).toContain(`not ${bits}`)
  expect(checkBits('linear', 16)).toBeUndefined()
})

test('constant weights stay as they are in every scheme', () => {
  for (const constant of [0, -3]) {
    const same = new Float32Array(32).fill(constant)
    for (const scheme of ['linear', 'kmeans', 'nf4', 'fp4'] as const) {
      expect(decode(encode(same, 16, { scheme, bits: 4, random: random() }), 16)).toEqual(same)
    }
  }
})
