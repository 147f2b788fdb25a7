import { describe, expect, it } from 'vitest'
import { inkAt, linePicture, pagePicture, paint, paintAll, type TextLine } from '../../../bench/matrix/text-images.ts'
import { createRandom } from '../../../src/engine/data/random.ts'

describe('inkAt', () => {
  it('draws the dots of a character, most significant bit on the left', () => {
    const line: TextLine = { text: 'L1', x: 0, y: 0, scale: 1 }
    const rows = Array.from({ length: 7 }, (_, row) =>
      Array.from({ length: 11 }, (_, column) => (inkAt(line, column, row) > 0.5 ? '#' : '.')).join(''),
    )
    expect(rows).toEqual([
      '#.......#..',
      '#......##..',
      '#.......#..',
      '#.......#..',
      '#.......#..',
      '#.......#..',
      '#####..###.',
    ])
  })

  it('has none beside the line and between its characters', () => {
    const line: TextLine = { text: 'HH', x: 10, y: 5, scale: 4 }
    expect(inkAt(line, 0, 10)).toBe(0)
    expect(inkAt(line, 10 + 5 * 4, 5 + 3 * 4)).toBe(0)
    expect(inkAt(line, 10, 5)).toBe(1)
    expect(inkAt(line, 500, 10)).toBe(0)
  })
})

describe('paint', () => {
  const flat = { height: 24, width: 80, ink: [0, 0, 0], paper: [1, 1, 1] }
  const lines: TextLine[] = [{ text: 'L', x: 4, y: 2, scale: 3 }]

  it('turns a picture around', () => {
    const upright = paint({ ...flat, lines, upsideDown: false }, () => 0.5)
    const turned = paint({ ...flat, lines, upsideDown: true }, () => 0.5)
    const at = (pixels: Float32Array, row: number, column: number) => pixels[row * flat.width + column]! < 0.5
    expect(at(upright, 2, 4)).toBe(true)
    expect(at(turned, 2, 4)).toBe(false)
    expect(at(turned, 24 - 1 - 2, 80 - 1 - 4)).toBe(true)
  })

  it('keeps brightness between 0 and 1', () => {
    const pixels = paint(pagePicture(createRandom(4), 160, 160), createRandom(5))
    expect(Math.min(...pixels)).toBeGreaterThanOrEqual(0)
    expect(Math.max(...pixels)).toBeLessThanOrEqual(1)
  })
})

it('paints the same pictures for a seed, and scales each channel by its own figures', () => {
  const draw = (random: () => number) => linePicture(random, 16, 64)
  const plain = paintAll(2, 3, draw, { mean: [0, 0, 0], deviation: [1, 1, 1] })
  const scaled = paintAll(2, 3, draw, { mean: [0, 1, 0], deviation: [1, 1, 2] })
  const plane = 16 * 64
  expect(scaled.subarray(0, plane)).toEqual(plain.subarray(0, plane))
  expect(scaled[4 * plane + 7]).toBeCloseTo(plain[4 * plane + 7]! - 1)
  expect(scaled[5 * plane + 7]).toBeCloseTo(plain[5 * plane + 7]! / 2)
  expect(plain.subarray(0, 3 * plane)).not.toEqual(plain.subarray(3 * plane))
})

it('leaves room for the text of a line', () => {
  const random = createRandom(9)
  for (let index = 0; index < 50; index += 1) {
    const { lines } = linePicture(random, 48, 320)
    const [{ text, x, scale }] = lines as [TextLine]
    expect(text).toMatch(/^[A-Z0-9]+( [A-Z0-9]+)*$/)
    expect(x + text.length * 6 * scale).toBeLessThanOrEqual(320 + 2 * scale)
  }
})
