import { describe, expect, test } from 'vitest'
import type { Sample } from '../../../src/serving/traffic/capture.ts'
import { createCaptureSink } from '../../../src/serving/traffic/capture-sink.ts'
import { HastenError } from '../../../src/errors.ts'
import { silentLogger } from '../support.ts'

const mebibyte = 2 ** 20
const sampleOf = (key: number, bytes = 4): Sample => ({
  key,
  arrays: [{ name: 'x', dtype: 'uint8', dims: [bytes], bytes: new Uint8Array(bytes) }],
})

/** A database that answers as the test says, and what it was given. */
function databaseOf(answer: () => Promise<number | undefined>) {
  const added: { keys: number[]; maxSamples: number }[] = []
  const sink = createCaptureSink('dep_1', {
    logger: silentLogger(),
    flushMs: 1,
    captured: {
      add: async (_deployment, samples, { maxSamples }) => {
        added.push({ keys: samples.map(({ key }) => key), maxSamples })
        return answer()
      },
    },
  })
  sink.limit(10)
  return { sink, added }
}

describe('the way of samples to the database', () => {
  test('brings them together, and tells from which key on more would be dropped', async () => {
    const { sink, added } = databaseOf(async () => 0.25)
    expect(sink.cut()).toBe(1)
    sink.reserve(8)
    sink.add([sampleOf(0.1), sampleOf(0.2)], 8)
    await expect.poll(() => added).toEqual([{ keys: [0.1, 0.2], maxSamples: 10 }])
    await expect.poll(() => sink.cut()).toBe(0.25)
    sink.limit(20)
    expect(sink.cut(), 'with more room, larger keys count again').toBe(1)
    sink.limit(5)
    sink.reserve(4)
    sink.add([sampleOf(0.3)], 4)
    await expect.poll(() => added.at(-1)).toEqual({ keys: [0.3], maxSamples: 5 })
  })

  test('keeps nothing more for a deployment that is gone', async () => {
    const { sink } = databaseOf(async () => undefined)
    sink.reserve(4)
    sink.add([sampleOf(0.1)], 4)
    await expect.poll(() => sink.cut()).toBe(0)
  })

  test('has bounded memory, which it gives back also when the database is away', async () => {
    const { sink, added } = databaseOf(async () => Promise.reject(new HastenError('unavailable', 'away')))
    expect(sink.reserve(33 * mebibyte)).toBe(false)
    expect(sink.reserve(20 * mebibyte)).toBe(true)
    expect(sink.reserve(20 * mebibyte)).toBe(false)
    sink.add([sampleOf(0.1, 20 * mebibyte)], 20 * mebibyte)
    await expect.poll(() => added).toHaveLength(1)
    await expect.poll(() => sink.reserve(32 * mebibyte)).toBe(true)
    sink.add([], 32 * mebibyte)
    expect(sink.reserve(32 * mebibyte), 'a request that failed gives back what it had reserved').toBe(true)
    expect(sink.cut(), 'as if nothing had been written').toBe(1)
  })

  test('writes what is on its way at the end', async () => {
    const { sink, added } = databaseOf(async () => 1)
    sink.reserve(4)
    sink.add([sampleOf(0.1)], 4)
    await sink.flush()
    expect(added).toHaveLength(1)
    await sink.flush()
    expect(added).toHaveLength(1)
  })
})
