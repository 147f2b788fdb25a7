import { describe, expect, test } from 'vitest'
import { writeFloats } from '../../../src/serving/protocol/json-floats.ts'

const write = (...values: number[]) => Buffer.from(writeFloats(Float32Array.from(values))).toString()

/** The shortest digits that read back as the float32, by trying. */
function shortest(value: number): number {
  for (let digits = 1; digits <= 9; digits++) {
    if (Math.fround(Number(value.toPrecision(digits))) === value) return digits
  }
  return 9
}

const significant = (text: string) =>
  text.replace(/e.*$/, '').replaceAll(/[-.]/g, '').replace(/^0+/, '').replace(/0+$/, '').length

describe('writeFloats', () => {
  test.each([
    [[], ''],
    [[0], '0'],
    [[-0], '-0'],
    [[1, -2, 3], '1,-2,3'],
    [[0.1, 0.2, 0.3], '0.1,0.2,0.3'],
    [[1.5, 10.25, -1000.125], '1.5,10.25,-1000.125'],
    [[0.05, 0.001, 1e-7], '0.05,0.001,0.0000001'],
    [[100, 120, 99_999.99], '100,120,99999.99'],
    [[16_777_216, 123_456_792], '16777216,123456792'],
    [[0.999_999_94, 9.999_999], '0.99999994,9.999999'],
  ])('writes %j', (values, text) => expect(write(...values)).toBe(text))

  test.each([1e9, 3.402_823_466e38, 1e-13, 1e-20, 1.401e-45])('writes %d, which is far from 1', (value) => {
    const float = Math.fround(value)
    expect(JSON.parse(`[${write(float, -float)}]`)).toSatisfy(([first, second]: number[]) => {
      return Math.fround(first!) === float && Math.fround(second!) === -float
    })
  })

  test('what it writes reads back as the same float32, and none is longer than it need be', () => {
    let state = 7
    const random = () => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647
    const values = Float32Array.from({ length: 20_000 }, () => (random() - 0.5) * 10 ** Math.floor(random() * 20 - 12))
    const texts = Buffer.from(writeFloats(values)).toString().split(',')
    expect(Float32Array.from(texts, (text) => JSON.parse(text) as number)).toEqual(values)
    const longer = texts.filter((text, index) => {
      const size = Math.abs(values[index]!)
      return size >= 1e-13 && size < 1e9 && significant(text) > shortest(values[index]!)
    })
    expect(longer).toEqual([])
  })
})
