import { readFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, test } from 'vitest'
import { viewOf } from '../../../../src/engine/ir/tensor.ts'
import {
  asymmetricParams,
  decodeBlocks,
  middle,
  packBits,
  toInteger,
  type BlockLayout,
} from '../../../../src/engine/passes/quantize-weights/blocks.ts'
import { halfQuadratic, lossOf } from '../../../../src/engine/passes/quantize-weights/half-quadratic.ts'
import { packBlocks } from '../../../../src/engine/passes/quantize-weights/pack.ts'
import { roundToNearest } from '../../../../src/engine/passes/quantize-weights/round-to-nearest.ts'
import { noise } from '../support.ts'

interface Golden {
  bits: 2 | 4 | 8
  depth: number
  channels: number
  blockSize: number
  symmetric: boolean
  weight: number[]
  packed: number[]
  scales: number[]
  zeroPoints: number[]
}

const golden = JSON.parse(
  readFileSync(path.join(import.meta.dirname, '../../../fixtures/engine/block-quantization.json'), 'utf8'),
) as Golden[]

const widths = [2, 4, 8] as const

function matrixOf(rows: number, depth: number, seed = 1): Float32Array {
  return Float32Array.from({ length: rows * depth }, (_, index) => noise(index, seed) ** 3)
}

describe.each(golden)('$bits bits, $depth x $channels, symmetric $symmetric', (each) => {
  const { bits, depth, channels: rows, blockSize, symmetric } = each
  const rowsFirst = Float32Array.from({ length: rows * depth }, (_, index) => {
    return each.weight[(index % depth) * rows + Math.floor(index / depth)] as number
  })

  test('gives the bytes of the runtime’s own tool', () => {
    const weight = roundToNearest(rowsFirst, { bits, depth, rows, blockSize }, symmetric)
    const packed = packBlocks(weight)
    expect(Array.from(weight.scales, Math.abs)).toEqual(each.scales.map(Math.abs))
    const blocks = Math.ceil(depth / blockSize)
    if (packed.zeroPoints !== undefined) {
      expect(unpack(packed.zeroPoints.bytes, bits, blocks, 8 / bits)).toEqual(
        unpack(Uint8Array.from(each.zeroPoints), bits, blocks, 8 / bits),
      )
    }
    expect(unpack(packed.data.bytes, bits, depth, blockSize)).toEqual(
      unpack(Uint8Array.from(each.packed), bits, depth, blockSize),
    )
  })
})

/** The integers of real weights; what fills up a last block means nothing. */
function unpack(bytes: Uint8Array, bits: number, depth: number, blockSize: number): number[] {
  const perByte = 8 / bits
  const integers = Array.from(
    { length: bytes.length * perByte },
    (_, index) => ((bytes[Math.floor(index / perByte)] as number) >> (bits * (index % perByte))) & (2 ** bits - 1),
  )
  const padded = Math.ceil(depth / blockSize) * blockSize
  return integers.filter((_, index) => index % padded < depth)
}

describe.each(widths)('%s bits', (bits) => {
  const layout: BlockLayout = { bits, blockSize: 16, rows: 5, depth: 40 }
  const matrix = matrixOf(5, 40)
  const errorsOf = (symmetric: boolean) => {
    const weight = roundToNearest(matrix, layout, symmetric)
    const decoded = decodeBlocks(weight)
    return matrix.map((value, index) => {
      const block = Math.floor(index / 40) * 3 + Math.floor((index % 40) / 16)
      return Math.abs(value - (decoded[index] as number)) / Math.abs(weight.scales[block] as number)
    })
  }

  test('an error is at most half a step; symmetric, one step where the shorter side is cut', () => {
    expect(Math.max(...errorsOf(false))).toBeLessThanOrEqual(0.5001)
    const symmetric = errorsOf(true)
    expect(Math.max(...symmetric)).toBeLessThanOrEqual(1.0001)
    expect(symmetric.filter((error) => error > 0.5001).length).toBeLessThan(symmetric.length / 4)
  })

  test('the largest weight is exact when symmetric, and zero stays zero', () => {
    const values = Float32Array.of(0, 0.25, -3, 1.5, ...new Float32Array(12))
    const weight = roundToNearest(values, { bits, blockSize: 16, rows: 1, depth: 16 }, true)
    expect(weight.integers[2]).toBe(0)
    expect(decodeBlocks(weight)[2]).toBe(-3)
    expect(decodeBlocks(weight)[0]).toBe(0)
    const positive = roundToNearest(
      values.map((value) => -value),
      { bits, blockSize: 16, rows: 1, depth: 16 },
      true,
    )
    expect(decodeBlocks(positive)[2]).toBe(3)
  })

  test('weights that are whole steps already come back as they were', () => {
    const step = 0.25
    const grid = Float32Array.from({ length: 32 }, (_, index) => ((index % 2 ** bits) - 1) * step)
    const exact = { bits, blockSize: 16, rows: 1, depth: 32 } as const
    // Each block must reach both ends, or its step would be another.
    const ends = grid.map((value, index) =>
      index % 16 === 0 ? -step : index % 16 === 1 ? (2 ** bits - 2) * step : value,
    )
    expect([...decodeBlocks(roundToNearest(ends, exact, false))]).toEqual([...ends])
  })

  test('half-quadratic is nowhere worse than rounding, in its norm, and better somewhere', () => {
    const [rounded, moved] = [roundToNearest(matrix, layout, false), halfQuadratic(matrix, layout)]
    let better = 0
    for (let row = 0; row < 5; row += 1) {
      for (let block = 0; block < 3; block += 1) {
        const values = matrix.subarray(row * 40 + block * 16, row * 40 + Math.min(40, block * 16 + 16))
        const at = row * 3 + block
        const loss = ({ scales, zeroPoints }: typeof rounded) =>
          lossOf(values, { scale: scales[at] as number, zeroPoint: zeroPoints?.[at] ?? 0 }, bits)
        expect(loss(moved)).toBeLessThanOrEqual(loss(rounded))
        if (loss(moved) < loss(rounded)) better += 1
      }
    }
    if (bits === 4) expect(better).toBeGreaterThan(0)
  })
})

test('a block of zeros stays zero in every form', () => {
  const zeros = new Float32Array(16)
  const layout = { bits: 4, blockSize: 16, rows: 1, depth: 16 } as const
  for (const weight of [
    roundToNearest(zeros, layout, true),
    roundToNearest(zeros, layout, false),
    halfQuadratic(zeros, layout),
  ]) {
    expect([...decodeBlocks(weight)]).toEqual([...zeros])
    expect([...weight.scales].every(Number.isFinite)).toBe(true)
  }
})

test('the first integer is in the lowest bits, and each row starts a byte', () => {
  expect([...packBits(Uint8Array.of(1, 2, 3, 15, 0, 7), 3, 4)]).toEqual([0x21, 0x03, 0x0f, 0x07])
  expect([...packBits(Uint8Array.of(1, 2, 3, 0, 1), 5, 2)]).toEqual([0b00111001, 0b01])
  expect([...packBits(Uint8Array.of(200, 3), 2, 8)]).toEqual([200, 3])
})

test('a range on one side of zero is widened to hold it', () => {
  const params = asymmetricParams(Float32Array.of(2, 3), 4)
  expect(params).toEqual({ scale: Math.fround(0.2), zeroPoint: 0 })
  expect(toInteger(0, params, 4)).toBe(0)
  expect(asymmetricParams(Float32Array.of(-2, -3), 4).zeroPoint).toBe(15)
  expect(middle(4)).toBe(8)
})

test('the padding of a last block stands for zero', () => {
  const weight = roundToNearest(matrixOf(1, 20), { bits: 4, blockSize: 16, rows: 1, depth: 20 }, false)
  expect(weight.integers.slice(20).every((integer) => integer === weight.zeroPoints?.[1])).toBe(true)
  expect(viewOf(packBlocks(weight).scales, 'float32').length).toBe(2)
})
