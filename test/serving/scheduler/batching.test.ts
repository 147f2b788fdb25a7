import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { HastenError } from '../../../src/errors.ts'
import { tensorOf, viewOf } from '../../../src/engine/ir/tensor.ts'
import { createOrtRuntime } from '../../../src/engine/runtime/ort/index.ts'
import type { Runtime, Session } from '../../../src/engine/serving.ts'
import { createLane, type LaneOptions, type LaneRequest, type LaneResult } from '../../../src/serving/scheduler/lane.ts'
import { createRunSlots } from '../../../src/serving/scheduler/run-slots.ts'
import { buildModel } from '../../support/models.ts'

const table = Float32Array.of(10, 11, 12, 13)
/** Looks rows of a table up: an index beyond it fails the run. */
const lookup = buildModel({
  inputs: { i: ['int64', ['N', 'M']] },
  outputs: { y: ['float32', ['N', 'M']], z: ['float32', ['N', 'M']] },
  initializers: { t: tensorOf('float32', [4], table) },
  nodes: [
    ['Gather', ['t', 'i'], ['y']],
    ['Neg', ['y'], ['z']],
  ],
})

let runtime: Runtime
let session: Session
beforeAll(async () => {
  runtime = createOrtRuntime()
  session = await runtime.createSession({ bytes: lookup })
})
afterAll(async () => {
  await session.release()
  await runtime.close()
})

const never = new AbortController().signal
const request = (rows: readonly (readonly number[])[], over: Partial<LaneRequest> = {}): LaneRequest => {
  const data = BigInt64Array.from(rows.flat(), BigInt)
  const feeds = { i: tensorOf('int64', [rows.length, rows[0]!.length], data) }
  return { feeds, outputs: undefined, signal: never, deadlineAt: undefined, ...over }
}

/** A lane over the real session that notes the rows of each run and what is still lent. */
function batching(over: Partial<LaneOptions['batching'] & object> = {}, options: Partial<LaneOptions> = {}) {
  const runs: number[] = []
  let lent = 0
  const counted: Session = {
    ...session,
    async runBorrowed(feeds, runOptions) {
      runs.push(feeds['i']!.dims[0]!)
      const borrowed = await session.runBorrowed(feeds, runOptions)
      lent++
      return {
        outputs: borrowed.outputs,
        release() {
          lent--
          borrowed.release()
        },
      }
    },
  }
  const lane = createLane({
    session: counted,
    slots: createRunSlots(2),
    maxQueue: 1000,
    maxInFlight: 1,
    batching: { maxBatch: 8, maxDelayMs: 0, buckets: [], ...over },
    ...options,
  })
  return { lane, runs, lent: () => lent }
}

/** The answer as plain numbers; the outputs are given back. */
function take(result: LaneResult, name = 'y') {
  const tensor = result.outputs[name]!
  const answer = { dims: tensor.dims, values: [...viewOf(tensor, 'float32')] }
  result.release()
  return answer
}
const expected = (rows: readonly (readonly number[])[]) => rows.flat().map((index) => table[index]!)
const codeOf = (error: unknown) => (error as HastenError).code

describe('a lane that batches', () => {
  test('runs what came together at once, and gives everybody their own rows', async () => {
    const { lane, runs, lent } = batching()
    const inputs = [
      [[0, 1]],
      [
        [2, 3],
        [1, 1],
      ],
      [[3, 0]],
    ]
    const results = await Promise.all(inputs.map((rows) => lane.submit(request(rows))))
    expect(runs).toEqual([4])
    expect(results.map(({ rows, batchSize, executions }) => [rows, batchSize, executions])).toEqual([
      [1, 4, 1],
      [2, 4, 0],
      [1, 4, 0],
    ])
    expect(lent()).toBe(1)
    for (const [index, result] of results.entries()) {
      expect(take(result)).toEqual({ dims: [inputs[index]!.length, 2], values: expected(inputs[index]!) })
    }
    expect(lent()).toBe(0)
  })

  test('never exceeds its largest batch; what is larger runs alone', async () => {
    const { lane, runs } = batching({ maxBatch: 4 })
    const inputs = [3, 3, 9, 1].map((rows) => Array.from({ length: rows }, (_, row) => [row % 4]))
    const results = await Promise.all(inputs.map((rows) => lane.submit(request(rows))))
    expect(runs.toSorted((a, b) => a - b)).toEqual([3, 4, 9])
    for (const [index, result] of results.entries()) expect(take(result).values).toEqual(expected(inputs[index]!))
  })

  test('keeps apart what has other dims or wants other outputs', async () => {
    const { lane, runs } = batching()
    const [wide, narrow, negative] = await Promise.all([
      lane.submit(request([[1, 2]])),
      lane.submit(request([[1]])),
      lane.submit(request([[3]], { outputs: ['z'] })),
    ])
    expect(runs).toEqual([1, 1, 1])
    expect([take(wide).dims, take(narrow).dims]).toEqual([
      [1, 2],
      [1, 1],
    ])
    expect(Object.keys(negative.outputs)).toEqual(['z'])
    expect(take(negative, 'z').values).toEqual([-13])
  })

  test('pads to buckets, also a request that is alone', async () => {
    const { lane, runs } = batching({ buckets: [2, 8] })
    expect(take(await lane.submit(request([[2]])))).toEqual({ dims: [1, 1], values: [12] })
    const results = await Promise.all([[0], [1], [2]].map((row) => lane.submit(request([row]))))
    expect(runs).toEqual([2, 8])
    expect(results.map(({ batchSize }) => batchSize)).toEqual([3, 3, 3])
    expect(results.map((result) => take(result).values)).toEqual([[10], [11], [12]])
  })

  test('one bad input fails its own request only', async () => {
    const { lane, runs } = batching()
    const results = await Promise.allSettled([[0], [9], [3]].map((row) => lane.submit(request([row]))))
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
    expect(codeOf((results[1] as PromiseRejectedResult).reason)).toBe('run_failed')
    const good = results.flatMap((result) => (result.status === 'fulfilled' ? [take(result.value).values] : []))
    expect(good).toEqual([[10], [13]])
    expect(runs).toEqual([3, 1, 1, 1])
  })

  test('a member that goes away leaves the others their answers', async () => {
    const { lane, runs, lent } = batching()
    const client = new AbortController()
    const gone = lane.submit(request([[0]], { signal: client.signal })).catch(codeOf)
    const stays = lane.submit(request([[1]]))
    await new Promise((resolve) => setImmediate(resolve))
    expect(runs).toEqual([2])
    client.abort()
    expect(await gone).toBe('run_canceled')
    const result = await stays
    expect(result.executions).toBe(1)
    expect(take(result).values).toEqual([11])
    expect(lent()).toBe(0)
  })

  test('when all members go away nothing stays lent and the lane goes on', async () => {
    const { lane, lent } = batching()
    const client = new AbortController()
    const gone = [[0], [1]].map((row) => lane.submit(request([row], { signal: client.signal })).catch(codeOf))
    await new Promise((resolve) => setImmediate(resolve))
    client.abort()
    expect(await Promise.all(gone)).toEqual(['run_canceled', 'run_canceled'])
    expect(take(await lane.submit(request([[2]]))).values).toEqual([12])
    expect([lent(), lane.state().inFlight]).toEqual([0, 0])
  })

  test('higher priorities go first', async () => {
    const { lane } = batching({ maxBatch: 2 })
    const order: string[] = []
    const submit = async (name: string, priority?: number) => {
      const result = await lane.submit(request([[0], [1]], { priority }))
      order.push(name)
      result.release()
    }
    await Promise.all([submit('default'), submit('last', 1000), submit('first', 1), submit('zero', 0)])
    expect(order).toEqual(['first', 'default', 'zero', 'last'])
  })

  test('refuses what would wait past its deadline, and says when to come again', async () => {
    const observations = [1, 2].map((rows) => ({ rows, ms: 20_000 }))
    const { lane, runs } = batching({ maxBatch: 2 }, { observations })
    const running = lane.submit(request([[0], [1]]))
    await new Promise((resolve) => setImmediate(resolve))
    expect(runs).toEqual([2])
    const late = await lane.submit(request([[2]], { deadlineAt: performance.now() + 5000 })).catch((error) => error)
    expect(late).toMatchObject({ code: 'overloaded', retryAfter: 1 })
    ;(await running).release()
    // Nothing runs now, so it is tried, whatever the estimate says.
    const tried = await lane.submit(request([[2]], { deadlineAt: performance.now() + 5000 }))
    expect(take(tried).values).toEqual([12])
  })

  test('waits for more only when more are expected, and no longer than it may', async () => {
    const { lane, runs } = batching({ maxBatch: 4, maxDelayMs: 60_000 })
    // Nobody has come before: there is nothing to wait for.
    ;(await lane.submit(request([[0]]))).release()
    expect(runs).toEqual([1])
    const first = [1, 2, 3].map((index) => lane.submit(request([[index]])))
    await new Promise((resolve) => setTimeout(resolve, 5))
    expect(runs).toEqual([1])
    const last = lane.submit(request([[0]]))
    const results = await Promise.all([...first, last])
    expect(runs).toEqual([1, 4])
    expect(results.map((result) => take(result).values)).toEqual([[11], [12], [13], [10]])
  })
})

/** Seeded, so that a failure can be repeated. */
function randomSource(seed: number) {
  let state = seed
  return (below: number) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}

describe('whatever comes', () => {
  test.each([1, 2, 3, 4])('each request is answered once, with its own rows (seed %i)', async (seed) => {
    const random = randomSource(seed)
    const buckets = seed % 2 === 0 ? [2, 4, 8] : []
    const { lane, runs, lent } = batching({ buckets, maxDelayMs: seed > 2 ? 2 : 0 }, { maxInFlight: 2 })
    let answered = 0
    let executions = 0
    const one = async () => {
      const rows = Array.from({ length: 1 + random(10) }, () => [random(4), random(4)])
      const isBad = random(20) === 0
      if (isBad) rows[0]![0] = 99
      const client = new AbortController()
      const deadlineAt = random(5) === 0 ? performance.now() + random(4) : undefined
      const options = { signal: client.signal, deadlineAt, priority: random(4) }
      const submitted = lane.submit(request(rows, options))
      if (random(5) === 0) setTimeout(() => client.abort(), random(3))
      try {
        const result = await submitted
        executions += result.executions
        expect(isBad).toBe(false)
        expect(take(result)).toEqual({ dims: [rows.length, 2], values: expected(rows) })
        answered++
      } catch (error) {
        const allowed = [
          ...(isBad ? ['run_failed'] : []),
          ...(deadlineAt === undefined ? [] : ['run_deadline', 'overloaded']),
          'run_canceled',
        ]
        expect(allowed).toContain(codeOf(error))
      }
    }
    for (let wave = 0; wave < 20; wave++) await Promise.all(Array.from({ length: 1 + random(30) }, one))
    await lane.drain()
    expect(answered).toBeGreaterThan(50)
    expect(executions).toBeLessThanOrEqual(runs.length)
    expect(executions).toBeLessThan(answered)
    expect(lent()).toBe(0)
    expect(lane.state()).toMatchObject({ queued: 0, inFlight: 0 })
  })
})
