import { expect, test } from 'vitest'
import { createLimiter } from '../../src/jobs/limiter.ts'

test('no more than the limit run at once, in the order they came', async () => {
  const limit = createLimiter(2)
  const started: number[] = []
  const gates = Array.from({ length: 4 }, () => Promise.withResolvers<void>())
  const runs = gates.map(async (gate, index) =>
    limit(async () => {
      started.push(index)
      await gate.promise
    }),
  )
  await new Promise(setImmediate)
  expect(started).toEqual([0, 1])
  gates[1]!.resolve()
  await runs[1]
  await new Promise(setImmediate)
  expect(started).toEqual([0, 1, 2])
  for (const gate of gates) gate.resolve()
  await Promise.all(runs)
  expect(started).toEqual([0, 1, 2, 3])
})

test('a failure frees the place', async () => {
  const limit = createLimiter(1)
  await expect(
    limit(async () => {
      throw new Error('no')
    }),
  ).rejects.toThrow('no')
  await expect(limit(async () => 7)).resolves.toBe(7)
})
