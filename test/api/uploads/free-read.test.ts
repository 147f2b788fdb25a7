import { Readable } from 'node:stream'
import { expect, test } from 'vitest'
import { freeRead } from '../../../src/api/uploads/free-read.ts'

test('pieces come as they are, and are gone once the next has been asked for', async () => {
  const pieces = [1, 2, 3].map((value) => new Uint8Array(100).fill(value))
  const copies: number[][] = []
  for await (const piece of freeRead(Readable.from(pieces))) copies.push([...piece])
  expect(copies.map(([first, ...rest]) => [first, rest.length])).toEqual([1, 2, 3].map((value) => [value, 99]))
  expect(pieces.map(({ length }) => length)).toEqual([0, 0, 0])
})

test('a piece of memory that others share is left alone', async () => {
  const shared = new Uint8Array(200)
  for await (const piece of freeRead(Readable.from([shared.subarray(0, 100), shared.subarray(100)]))) {
    expect(piece.length).toBe(100)
  }
  expect(shared.length).toBe(200)
})
