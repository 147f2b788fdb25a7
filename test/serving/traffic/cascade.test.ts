import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { createOrtRuntime } from '../../../src/engine/runtime/ort/index.ts'
import type { Runtime } from '../../../src/engine/serving.ts'
import type { HastenError } from '../../../src/errors.ts'
import type { Lane, LaneResult } from '../../../src/serving/scheduler/lane.ts'
import { createCascade, type CascadeCounts, type CascadeOptions } from '../../../src/serving/traffic/cascade.ts'
import { partStatistics } from '../../../src/serving/traffic/parts.ts'
import { openVersion, requestOf, scaled, take, type TestVersion } from './versions.ts'

const sure = [9, 0, 0]
const unsure = [0.5, 0, 0]
const batching = { maxBatch: 8, maxDelayMs: 0, buckets: [] }

let runtime: Runtime
let small: TestVersion
let large: TestVersion
let counts: CascadeCounts[]

beforeAll(() => {
  runtime = createOrtRuntime()
})
afterAll(() => runtime.close())
beforeEach(async () => {
  counts = []
  small = await openVersion(runtime, 1, scaled(1))
  large = await openVersion(runtime, 2, scaled(-2), { batching })
})
afterEach(async () => {
  expect([small.lent(), large.lent()], 'everything borrowed was given back').toEqual([0, 0])
  await small.close()
  await large.close()
})

function cascade(over: Partial<CascadeOptions> = {}, second = large): Lane {
  const onAnswer = (each: CascadeCounts) => void counts.push(each)
  const options = { output: 'scores', threshold: 0.9, scale: 'softmax' as const, onAnswer, ...over }
  return createCascade(small.served, second.served, options)
}
const codeOf = (promise: Promise<LaneResult>) =>
  promise.then(
    () => 'ok',
    (error: HastenError) => error.code,
  )

describe('a cascade', () => {
  test('answers with the small version what that is sure of', async () => {
    const result = await cascade().submit(requestOf([sure]))
    expect(result).toMatchObject({ version: '1', parts: [{ version: '1', answered: 1 }] })
    expect(take(result)).toEqual([sure])
    expect(large.runs).toEqual([])
    expect(counts).toEqual([{ rows: 1, forwarded: 0 }])
  })

  test('sends the rows that are below the threshold to the large version, and puts the answer together', async () => {
    const result = await cascade().submit(requestOf([sure, unsure, sure, unsure]))
    expect(result.parts?.map(({ version, answered }) => [version, answered])).toEqual([
      ['1', 2],
      ['2', 2],
    ])
    expect([small.runs, large.runs]).toEqual([[4], [2]])
    expect(result.runMs).toBe(result.parts!.reduce((sum, { runMs }) => sum + runMs, 0))
    expect(result.outputs['total']!.dims).toEqual([4, 1])
    expect(take(result)).toEqual([sure, [-1, -0, -0], sure, [-1, -0, -0]])
    expect(counts).toEqual([{ rows: 4, forwarded: 2 }])
  })

  test('bears the version that answered most rows', async () => {
    const result = await cascade().submit(requestOf([unsure, unsure, sure]))
    expect(result.version).toBe('2')
    result.release()
  })

  test('sends the whole request where rows were not proved independent, or all are unsure', async () => {
    const unproved = await openVersion(runtime, 3, scaled(-2))
    const mixed = await cascade({}, unproved).submit(requestOf([sure, unsure]))
    expect(mixed).toMatchObject({ version: '3', rows: 1 })
    expect(take(mixed)).toEqual([
      [-18, -0, -0],
      [-1, -0, -0],
    ])
    expect([unproved.runs, unproved.lent()]).toEqual([[2], 0])
    await unproved.close()
    const result = await cascade().submit(requestOf([unsure, unsure]))
    expect(large.runs).toEqual([2])
    result.release()
    expect(counts).toEqual([
      { rows: 2, forwarded: 2 },
      { rows: 2, forwarded: 2 },
    ])
  })

  test('gives the outputs that were asked for, also without the one that tells how sure it is', async () => {
    const only = { outputs: ['total'] }
    expect(take(await cascade().submit(requestOf([sure, unsure], only)), 'total')).toEqual([[9], [-1]])
    expect(take(await cascade().submit(requestOf([unsure], only)), 'total')).toEqual([[-1]])
  })

  test('reads given probabilities', async () => {
    const probabilities = [0.95, 0.05, 0]
    const result = await cascade({ scale: 'probabilities' }).submit(requestOf([probabilities, [0.6, 0.4, 0]]))
    expect(result.parts?.map(({ answered }) => answered)).toEqual([1, 1])
    result.release()
  })

  test('fails with the reason of the version that failed, and gives the other answer back', async () => {
    const lane = cascade()
    const client = new AbortController()
    const gone = lane.submit(requestOf([unsure], { signal: client.signal }))
    client.abort()
    expect(await codeOf(gone)).toBe('run_canceled')
    expect(await codeOf(lane.submit(requestOf([unsure], { deadlineAt: performance.now() - 1 })))).toBe('run_deadline')
    expect(await codeOf(cascade({ output: 'nothing' }).submit(requestOf([unsure])))).toBe('run_failed')
    expect(counts).toEqual([])
  })

  test('gives the small answer back when the client goes away between the two runs', async () => {
    const client = new AbortController()
    const submit: Lane['submit'] = (request) => {
      client.abort()
      return large.served.lane.submit(request)
    }
    const leaving = { ...large, served: { ...large.served, lane: { ...large.served.lane, submit } } }
    for (const rows of [[unsure], [sure, unsure]]) {
      expect(await codeOf(cascade({}, leaving).submit(requestOf(rows, { signal: client.signal })))).toBe('run_canceled')
    }
  })

  test('fails when the large version is overloaded', async () => {
    const full = await openVersion(runtime, 3, scaled(3), { maxQueue: 0 })
    let busy: Promise<LaneResult> | undefined
    // Taken up after the small version has answered, in the same turn: the queue is full for sure.
    const submit: Lane['submit'] = (request) => {
      busy = full.served.lane.submit(requestOf([sure]))
      return full.served.lane.submit(request)
    }
    const second = { ...full, served: { ...full.served, lane: { ...full.served.lane, submit } } }
    expect(await codeOf(cascade({}, second).submit(requestOf([unsure])))).toBe('overloaded')
    const other = await busy!
    other.release()
    await full.close()
  })

  test('lets the small answer stand while the large version is being replaced', async () => {
    await large.served.lane.drain()
    for (const rows of [[unsure], [sure, unsure]]) {
      const result = await cascade().submit(requestOf(rows))
      expect(result.version).toBe('1')
      expect(take(result)).toEqual(rows)
    }
    expect(counts.map(({ forwarded }) => forwarded)).toEqual([0, 0])
  })

  test('counts for each version what it ran', async () => {
    const statistics = partStatistics(
      small.served,
      new Map([small, large].map(({ served }) => [Number(served.version), served])),
    )
    for (const rows of [[sure], [sure, unsure], [unsure]]) {
      const result = await cascade().submit(requestOf(rows))
      const { queueMs, runMs: inferMs } = result
      statistics.recordSuccess({ queueMs, inferMs, inputMs: 1, outputMs: 2 }, result)
      result.release()
    }
    const [first, second] = [small.served.statistics.snapshot(), large.served.statistics.snapshot()]
    expect([first.success.count, first.executions, first.input.ns]).toEqual([3, 3, 3e6])
    expect([second.success.count, second.executions, second.input.ns]).toEqual([2, 2, 0])
    expect(first.infer.ns).toBeGreaterThan(0)
    statistics.recordSuccess(
      { queueMs: 0, inferMs: 0, inputMs: 0, outputMs: 0 },
      { rows: 1, batchSize: 1, executions: 1 },
    )
    expect(small.served.statistics.snapshot().success.count).toBe(4)
  })
})
