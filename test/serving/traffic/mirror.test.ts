import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { tensorOf } from '../../../src/engine/ir/tensor.ts'
import { createOrtRuntime } from '../../../src/engine/runtime/ort/index.ts'
import type { Runtime } from '../../../src/engine/serving.ts'
import { createRunSlots, type RunSlots } from '../../../src/serving/scheduler/run-slots.ts'
import type { Comparison } from '../../../src/serving/traffic/compare.ts'
import { createMirror, type MirrorOptions } from '../../../src/serving/traffic/mirror.ts'
import { buildModel } from '../../support/models.ts'
import { openVersion, requestOf, scaled, take, type TestVersion } from './versions.ts'

let runtime: Runtime
const open: TestVersion[] = []
beforeAll(() => {
  runtime = createOrtRuntime()
})
afterAll(() => runtime.close())
afterEach(async () => {
  for (const version of open.splice(0)) await version.close()
})

const load = async (number: number, bytes: Uint8Array, slots?: RunSlots) => {
  const version = await openVersion(runtime, number, bytes, slots === undefined ? {} : { slots })
  open.push(version)
  return version
}

/** Fails on every run: three numbers do not fit. */
const failing = buildModel({
  inputs: { x: ['float32', ['N', 3]] },
  outputs: { scores: ['float32', [2, 2]] },
  initializers: { dims: tensorOf('int64', [2], BigInt64Array.of(2n, 2n)) },
  nodes: [['Reshape', ['x', 'dims'], ['scores']]],
})

/** A mirror that copies everything, and what came of it. */
function mirrorOf(primary: TestVersion, candidate: TestVersion, over: Partial<MirrorOptions> = {}) {
  const log = { compared: [] as Comparison[], failed: [] as unknown[], dropped: 0 }
  const events: MirrorOptions['events'] = {
    compared: (comparison) => void log.compared.push(comparison),
    failed: (error) => void log.failed.push(error),
    dropped: () => void log.dropped++,
  }
  const options = { wants: () => true, maxQueue: 4, tolerance: 0.01, events, ...over }
  return { lane: createMirror(primary.served, candidate.served, options), log }
}

describe('a mirror', () => {
  test('compares the answers and gives everything back', async () => {
    const [primary, candidate] = [await load(1, scaled(1)), await load(2, scaled(-1))]
    const { lane, log } = mirrorOf(primary, candidate)
    expect(take(await lane.submit(requestOf([[1, 2, 3]])))).toEqual([[1, 2, 3]])
    await expect.poll(() => log.compared).toHaveLength(1)
    expect(log.compared[0]).toMatchObject({ agrees: false, rows: 1, flips: 1, maxAbs: 12, cosine: -1 })
    expect([primary.lent(), candidate.lent(), log.dropped]).toEqual([0, 0, 0])
  })

  test('copies inputs, whose memory is gone with the answer, and asks for the same outputs', async () => {
    const [primary, candidate] = [await load(1, scaled(1)), await load(2, scaled(1))]
    const { lane, log } = mirrorOf(primary, candidate)
    // As a body is: a Buffer, of which `slice` makes no copy.
    const body = Buffer.from(Float32Array.of(1, 2, 3).buffer)
    const feeds = { x: { dtype: 'float32' as const, dims: [1, 3], bytes: body } }
    take(await lane.submit(requestOf([], { feeds, outputs: ['total'] })), 'total')
    body.fill(0)
    await expect.poll(() => log.compared).toHaveLength(1)
    expect(log.compared[0]).toMatchObject({ agrees: true, rows: 0, maxAbs: 0, means: { expected: 6, actual: 6 } })
  })

  test('holds the answer until it was compared, also when a client gives it back twice', async () => {
    const slots = createRunSlots(1)
    const [primary, candidate] = [await load(1, scaled(1)), await load(2, scaled(1), slots)]
    const { lane, log } = mirrorOf(primary, candidate)
    slots.take()
    const answer = await lane.submit(requestOf([[1, 2, 3]]))
    answer.release()
    answer.release()
    expect(primary.lent()).toBe(1)
    slots.give()
    await expect.poll(() => log.compared).toHaveLength(1)
    expect(primary.lent()).toBe(0)
  })

  test('leaves out what is not wanted, and what fails on the primary', async () => {
    const [primary, candidate] = [await load(1, failing), await load(2, scaled(1))]
    const { lane, log } = mirrorOf(primary, candidate)
    await expect(lane.submit(requestOf([[1, 2, 3]]))).rejects.toMatchObject({ code: 'run_failed' })
    const unwanted = mirrorOf(candidate, primary, { wants: () => false })
    expect(take(await unwanted.lane.submit(requestOf([[1, 2, 3]])))).toEqual([[1, 2, 3]])
    expect([candidate.runs, primary.runs]).toEqual([[1], [1]])
    expect([log, unwanted.log]).toEqual(Array.from({ length: 2 }, () => ({ compared: [], failed: [], dropped: 0 })))
  })

  test('never fails what the primary answers', async () => {
    const [primary, candidate] = [await load(1, scaled(1)), await load(2, failing)]
    const { lane, log } = mirrorOf(primary, candidate)
    expect(take(await lane.submit(requestOf([[1, 2, 3]])))).toEqual([[1, 2, 3]])
    await expect.poll(() => log.failed).toHaveLength(1)
    expect(log.failed[0]).toMatchObject({ code: 'run_failed' })
    expect(primary.lent()).toBe(0)
  })

  test('drops copies when the queue is full, and has room again', async () => {
    const slots = createRunSlots(1)
    const [primary, candidate] = [await load(1, scaled(1)), await load(2, scaled(1), slots)]
    const { lane, log } = mirrorOf(primary, candidate, { maxQueue: 2 })
    slots.take()
    for (let time = 0; time < 5; time++) take(await lane.submit(requestOf([[1, 2, 3]])))
    expect([log.dropped, log.compared.length]).toEqual([3, 0])
    slots.give()
    await expect.poll(() => log.compared).toHaveLength(2)
    take(await lane.submit(requestOf([[1, 2, 3]])))
    await expect.poll(() => log.compared).toHaveLength(3)
    expect([log.dropped, primary.lent(), candidate.lent()]).toEqual([3, 0, 0])
  })

  test('gives way to a request that has to wait, and runs again when none does', async () => {
    const [slots, candidateSlots] = [createRunSlots(1), createRunSlots(1)]
    const [primary, candidate] = [await load(1, scaled(1), slots), await load(2, scaled(1), candidateSlots)]
    const { lane, log } = mirrorOf(primary, candidate)
    // The copy has started and waits for its slot.
    candidateSlots.take()
    take(await lane.submit(requestOf([[1, 2, 3]])))
    await expect.poll(() => candidate.served.lane.state().queued).toBe(1)
    // Now the primary has to wait.
    slots.take()
    const waiting = lane.submit(requestOf([[1, 2, 3]]))
    await expect.poll(() => candidate.served.lane.state().queued).toBe(0)
    candidateSlots.give()
    expect(candidate.runs).toEqual([])
    slots.give()
    take(await waiting)
    await expect.poll(() => log.compared).toHaveLength(2)
    expect([primary.lent(), candidate.lent(), log.dropped]).toEqual([0, 0, 0])
  })

  test('goes on beside a request once in a while, else it gives way to each', async () => {
    const candidateSlots = createRunSlots(1)
    const [primary, candidate] = [await load(1, scaled(1)), await load(2, scaled(1), candidateSlots)]
    const { lane, log } = mirrorOf(primary, candidate)
    const queued = () => candidate.served.lane.state().queued
    candidateSlots.take()
    take(await lane.submit(requestOf([[1, 2, 3]])))
    await expect.poll(queued).toBe(1)
    // A second, of which a nineteenfold may pass before the next goes on beside requests.
    await new Promise((resolve) => setTimeout(resolve, 1000))
    take(await lane.submit(requestOf([[1, 2, 3]])))
    expect(queued()).toBe(1)
    candidateSlots.give()
    await expect.poll(() => log.compared.length).toBeGreaterThan(0)
    await expect.poll(() => log.compared).toHaveLength(2)
    candidateSlots.take()
    take(await lane.submit(requestOf([[1, 2, 3]])))
    await expect.poll(queued).toBe(1)
    take(await lane.submit(requestOf([[1, 2, 3]])))
    expect(queued()).toBe(0)
    candidateSlots.give()
    await expect.poll(() => log.compared).toHaveLength(4)
    expect([log.dropped, primary.lent(), candidate.lent()]).toEqual([0, 0, 0])
  })

  test('compares each request of a batch with its own rows', async () => {
    const batching = { maxBatch: 8, maxDelayMs: 0, buckets: [] }
    const versions = [
      await openVersion(runtime, 1, scaled(1), { batching, maxQueue: 20 }),
      await openVersion(runtime, 2, scaled(1), { batching, maxQueue: 20 }),
    ]
    open.push(...versions)
    const [primary, candidate] = versions as [TestVersion, TestVersion]
    const { lane, log } = mirrorOf(primary, candidate, { maxQueue: 100 })
    const rows = Array.from({ length: 20 }, (_, index) => [index, -index, 3 * index])
    const answers = await Promise.all(rows.map(async (row) => lane.submit(requestOf([row]))))
    expect(answers.map((answer) => take(answer)[0])).toEqual(rows)
    expect(primary.runs.length).toBeLessThan(20)
    await expect.poll(() => log.compared).toHaveLength(20)
    expect(log.compared.every(({ agrees, maxAbs }) => agrees && maxAbs === 0)).toBe(true)
    const means = log.compared.map(({ means: { actual } }) => actual!).toSorted((a, b) => a - b)
    // Of three scores and their sum.
    for (const [index, mean] of means.entries()) expect(mean).toBeCloseTo((3 * index + 3 * index) / 4)
    expect([log.dropped, primary.lent(), candidate.lent()]).toEqual([0, 0, 0])
  })

  test('takes a candidate that is being replaced for no failure', async () => {
    const [primary, candidate] = [await load(1, scaled(1)), await load(2, scaled(1))]
    const { lane, log } = mirrorOf(primary, candidate)
    await candidate.served.lane.drain()
    take(await lane.submit(requestOf([[1, 2, 3]])))
    await expect.poll(() => log.dropped).toBe(1)
    expect(log.failed).toEqual([])
  })
})
