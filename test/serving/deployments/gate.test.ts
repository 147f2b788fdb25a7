import { expect, test } from 'vitest'
import { HastenError } from '../../../src/errors.ts'
import { createGate } from '../../../src/serving/deployments/gate.ts'
import type { Lane, LaneRequest, LaneResult } from '../../../src/serving/scheduler/lane.ts'

const result = { outputs: {}, queueMs: 1, runMs: 1, rows: 1, batchSize: 1, executions: 1, release: () => {} } as const
const lane: Lane = {
  submit: async (): Promise<LaneResult> => result,
  overload: () => undefined,
  state: () => ({ queued: 2, inFlight: 1, runMs: 5, oldestRunMs: 0, failuresInRow: 0 }),
  drain: async () => {},
}
const request = (over: Partial<LaneRequest> = {}): LaneRequest => ({
  feeds: {},
  outputs: undefined,
  signal: new AbortController().signal,
  deadlineAt: undefined,
  ...over,
})
const codeOf = (work: Promise<unknown>) => work.then(() => 'none').catch((error: HastenError) => error.code)

/** A gate whose load ends when told. */
function coldGate(maxQueue = 10) {
  const load = Promise.withResolvers<void>()
  const gate = createGate({ maxQueue, load: () => load.promise })
  return { gate, load }
}

test('with a lane behind it, a gate is that lane', async () => {
  const { gate } = coldGate()
  gate.open(lane)
  expect(await gate.lane.submit(request())).toBe(result)
  expect(gate.lane.state()).toMatchObject({ queued: 2, runMs: 5 })
  expect(gate.busy()).toBe(3)
})

test('without one, requests wait for the load, and their wait counts as queueing', async () => {
  const { gate, load } = coldGate()
  const answers = [gate.lane.submit(request()), gate.lane.submit(request())]
  expect(gate.busy()).toBe(2)
  gate.open(lane)
  load.resolve()
  const [first] = await Promise.all(answers)
  expect(first).toMatchObject({ runMs: 1, rows: 1 })
  expect(first!.queueMs).toBeGreaterThan(1)
  gate.close()
  expect(gate.busy()).toBe(0)
})

test('they wait no longer than they would be answered, and no more of them than may queue', async () => {
  const { gate } = coldGate(3)
  const client = new AbortController()
  const canceled = gate.lane.submit(request({ signal: client.signal }))
  const late = gate.lane.submit(request({ deadlineAt: performance.now() + 1 }))
  const gone = gate.lane.submit(request({ signal: AbortSignal.abort() }))
  expect(gate.lane.overload()?.code).toBe('overloaded')
  expect(await codeOf(gate.lane.submit(request()))).toBe('overloaded')
  client.abort()
  expect(await Promise.all([canceled, late, gone].map(codeOf))).toEqual([
    'run_canceled',
    'run_deadline',
    'run_canceled',
  ])
  expect(gate.busy()).toBe(0)
})

test('a load that fails fails them, with its reason', async () => {
  const { gate, load } = coldGate()
  const answer = gate.lane.submit(request())
  load.reject(new HastenError('deployment_not_ready', 'the file is gone'))
  await expect(answer).rejects.toThrow('the file is gone')
})
