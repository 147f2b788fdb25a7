import { describe, expect, test } from 'vitest'
import { scanNumber } from '../../../src/serving/protocol/json-number.ts'

/** What is read, and how many bytes; undefined where there is no number. */
function scan(text: string): { value: number; length: number } | undefined {
  const cursor = { bytes: Buffer.from(text), at: 0, values: new Float64Array(1), count: 0 }
  return scanNumber(cursor) ? { value: cursor.values[0] as number, length: cursor.at } : undefined
}

function createRandom(seed: number): () => number {
  let state = seed
  return () => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647
}

describe('scanNumber', () => {
  test.each(['0', '-0', '7', '-12.5', '0.1', '1e3', '1E-7', '2.5e+10', '9007199254740993', '1e400', '-1e-400'])(
    'reads %s as JSON.parse does',
    (text) => expect(scan(text)).toEqual({ value: JSON.parse(text) as number, length: text.length }),
  )

  test.each(['', '-', '01', '-01', '.5', '1.', '1.e3', '1e', '1e+', '+1', 'x'])('finds no number in %s', (text) => {
    expect(() => JSON.parse(text) as unknown).toThrow()
    expect(scan(text)).toBeUndefined()
  })

  test('stops where the number does', () => {
    expect(scan('12,3')).toEqual({ value: 12, length: 2 })
    expect(scan('1.2.3')).toEqual({ value: 1.2, length: 3 })
    const long = '0.12345678901234567890123'
    expect(scan(`${long}]`)).toEqual({ value: JSON.parse(long) as number, length: long.length })
  })

  // Halfway between two doubles, and the last digit beside it on either side (David M. Gay's hard cases are such).
  test.each([
    '9007199254740992.5',
    '9007199254740993.0000001',
    '0.500000000000000166533453693773481063544750213623046875',
    '1.00000000000000011102230246251565404236316680908203125',
    '1.0000000000000001110223',
    '1.0000000000000001110222',
    '0.30000000000000004440892',
    '123456789012345.6796875',
  ])('rounds %s once', (text) => expect(scan(text)?.value).toBe(JSON.parse(text)))

  test('agrees with JSON.parse on doubles, float32 and decimals of every length', () => {
    const random = createRandom(3)
    const wrong: string[] = []
    for (let round = 0; round < 20_000; round++) {
      const value = (random() - 0.5) * 10 ** Math.floor(random() * 30 - 15)
      const digits = Array.from({ length: 1 + Math.floor(random() * 24) }, () => Math.floor(random() * 10)).join('')
      const texts = [
        String(value),
        String(Math.fround(value)),
        value.toFixed(Math.floor(random() * 20)),
        `${Math.floor(random() * 1000)}.${digits}`,
      ]
      for (const text of texts) if (!Object.is(scan(text)?.value, JSON.parse(text))) wrong.push(text)
    }
    expect(wrong).toEqual([])
  })
})
