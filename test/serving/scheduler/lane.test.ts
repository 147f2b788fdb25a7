import { describe, expect, test } from 'vitest'
import { HastenError } from '../../../src/errors.ts'
import type { BorrowedOutputs, Session } from '../../../src/engine/serving.ts'
import { createLane, type LaneRequest } from '../../../src/serving/scheduler/lane.ts'
import { createRunSlots } from '../../../src/serving/scheduler/run-slots.ts'

/** A session behind the port whose runs end when the test says so. */
function controlledSession() {
  const runs: {
    finish: () => void
    fail: (error: Error) => void
    released: boolean
    deadlineMs: number | undefined
  }[] = []
  const session = {
    runBorrowed: (_feeds, options) =>
      new Promise<BorrowedOutputs>((resolve, reject) => {
        const run = {
          finish: () => resolve({ outputs: {}, release: () => (run.released = true) }),
          fail: reject,
          released: false,
          deadlineMs: options?.deadlineMs,
        }
        options?.signal?.addEventListener('abort', () => reject(new HastenError('run_canceled', 'ended')))
        runs.push(run)
      }),
  } as Pick<Session, 'runBorrowed'> as Session
  return { session, runs }
}

const request = (over: Partial<LaneRequest> = {}): LaneRequest => ({
  feeds: {},
  outputs: undefined,
  signal: new AbortController().signal,
  deadlineAt: undefined,
  ...over,
})

const codeOf = (promise: Promise<unknown>) =>
  promise.then(
    () => 'ok',
    (error: HastenError) => error.code,
  )
const turn = () => new Promise((resolve) => setImmediate(resolve))

function lane(options: { maxQueue?: number; maxInFlight?: number; slots?: number } = {}) {
  const { session, runs } = controlledSession()
  const { maxQueue = 10, maxInFlight = 1, slots = 8 } = options
  return { runs, lane: createLane({ session, slots: createRunSlots(slots), maxQueue, maxInFlight }) }
}

describe('a lane', () => {
  test('runs in order, not more at a time than allowed, and lends the outputs', async () => {
    const { runs, lane: subject } = lane({ maxInFlight: 2 })
    const results = [1, 2, 3].map(() => subject.submit(request()))
    expect(runs).toHaveLength(2)
    expect(subject.state()).toMatchObject({ inFlight: 2, queued: 1 })
    runs[0]!.finish()
    const first = await results[0]!
    expect(runs).toHaveLength(3)
    expect(runs[0]!.released).toBe(false)
    first.release()
    expect(runs[0]!.released).toBe(true)
    runs[1]!.finish()
    runs[2]!.finish()
    expect((await results[2]!).queueMs).toBeGreaterThanOrEqual(first.queueMs)
    expect(subject.state()).toMatchObject({ inFlight: 0, queued: 0 })
  })

  test('drops a waiting request when its client goes away; it never runs', async () => {
    const { runs, lane: subject } = lane()
    const client = new AbortController()
    const running = subject.submit(request())
    const dropped = subject.submit(request({ signal: client.signal }))
    const behind = subject.submit(request())
    client.abort()
    expect(await codeOf(dropped)).toBe('run_canceled')
    runs[0]!.finish()
    await running
    expect(runs).toHaveLength(2)
    runs[1]!.finish()
    expect(await codeOf(behind)).toBe('ok')
  })

  test('ends a run when its client goes away, and goes on with the next', async () => {
    const { runs, lane: subject } = lane()
    const client = new AbortController()
    const canceled = subject.submit(request({ signal: client.signal }))
    const next = subject.submit(request())
    client.abort()
    expect(await codeOf(canceled)).toBe('run_canceled')
    runs[1]!.finish()
    expect(await codeOf(next)).toBe('ok')
    expect(await codeOf(subject.submit(request({ signal: client.signal })))).toBe('run_canceled')
  })

  test('refuses what is over the queue, with the time that the queue takes', async () => {
    const { runs, lane: subject } = lane({ maxQueue: 1 })
    const all = [subject.submit(request()), subject.submit(request())]
    const error = await subject.submit(request()).catch((thrown: HastenError) => thrown)
    expect(error).toMatchObject({ code: 'overloaded', retryAfter: 1 })
    expect(subject.overload()?.code).toBe('overloaded')
    runs[0]!.finish()
    await all[0]
    expect(subject.overload()).toBeUndefined()
    runs[1]!.finish()
    await all[1]
  })

  test('ends the wait of a request at its deadline, and gives a run what is left of it', async () => {
    const { runs, lane: subject } = lane()
    const running = subject.submit(request({ deadlineAt: performance.now() + 5000 }))
    expect(runs[0]!.deadlineMs).toBeGreaterThan(4000)
    expect(await codeOf(subject.submit(request({ deadlineAt: performance.now() + 5 })))).toBe('run_deadline')
    expect(await codeOf(subject.submit(request({ deadlineAt: performance.now() - 1 })))).toBe('run_deadline')
    expect(subject.state().queued).toBe(0)
    runs[0]!.finish()
    expect(await codeOf(running)).toBe('ok')
    expect(runs).toHaveLength(1)
  })

  test('drains: what it has ends, what comes is refused', async () => {
    const { runs, lane: subject } = lane()
    const all = [subject.submit(request()), subject.submit(request())]
    let isDrained = false
    const drained = subject.drain().then(() => (isDrained = true))
    expect(await codeOf(subject.submit(request()))).toBe('deployment_not_ready')
    runs[0]!.finish()
    await all[0]
    await turn()
    expect(isDrained).toBe(false)
    runs[1]!.finish()
    await drained
    expect(await codeOf(all[1]!)).toBe('ok')
    await subject.drain()
  })

  test('counts failed runs in a row, but not the clients that left', async () => {
    const { runs, lane: subject } = lane({ maxInFlight: 3 })
    const [failed, left, good] = [1, 2, 3].map(() => subject.submit(request()))
    runs[0]!.fail(new HastenError('run_failed', 'no'))
    runs[1]!.fail(new HastenError('run_canceled', 'no'))
    expect([await codeOf(failed!), await codeOf(left!)]).toEqual(['run_failed', 'run_canceled'])
    expect(subject.state().failuresInRow).toBe(1)
    runs[2]!.finish()
    await good
    expect(subject.state().failuresInRow).toBe(0)
  })
})

describe('a lane of long runs, with threads of the runtime to wait for', () => {
  const long = [{ rows: 1, ms: 5 }]
  function saturated({ spare = 1, maxInFlight = 2, ms = 5, maxQueue = 10 } = {}) {
    const { session, runs } = controlledSession()
    const slots = createRunSlots(2, { spare })
    const observations = [{ rows: 1, ms }]
    const subject = createLane({ session, slots, maxQueue, maxInFlight, observations })
    const results = Array.from({ length: 5 }, () => codeOf(subject.submit(request())))
    return { runs, slots, subject, results }
  }

  test('hands over more runs than there are cores, and counts it among those that wait', async () => {
    const { runs, subject, results } = saturated()
    expect(runs).toHaveLength(3)
    expect(subject.state()).toMatchObject({ inFlight: 2, queued: 3 })
    runs[0]!.finish()
    await results[0]
    expect(runs).toHaveLength(4)
    expect(subject.state()).toMatchObject({ inFlight: 2, queued: 2 })
    for (const index of [1, 2, 3]) {
      runs[index]!.finish()
      await results[index]
    }
    expect(runs).toHaveLength(5)
    runs[4]!.finish()
    await results[4]
    expect(subject.state()).toMatchObject({ inFlight: 0, queued: 0 })
  })

  test.each([
    ['without such threads', { spare: 0 }],
    ['where fewer are allowed than there are cores', { maxInFlight: 1 }],
    ['of runs so short that a thread of their own does not pay', { ms: 0.2 }],
    ['of runs so long that a deadline would be noticed late', { ms: 60 }],
  ])('does not %s', async (_case, options) => {
    const { runs } = saturated(options)
    expect(runs).toHaveLength(('maxInFlight' in options ? options.maxInFlight : undefined) ?? 2)
  })

  test('keeps its bound on what waits', async () => {
    const { runs, results } = saturated({ maxQueue: 1 })
    expect(runs).toHaveLength(3)
    expect(await Promise.all(results.slice(3))).toEqual(['overloaded', 'overloaded'])
    const none = saturated({ maxQueue: 0 })
    expect(none.runs).toHaveLength(2)
    expect(await Promise.all(none.results.slice(2))).toEqual(['overloaded', 'overloaded', 'overloaded'])
  })

  test('leaves the next core to another lane that waits for one', async () => {
    const { runs, slots, results } = saturated()
    const other = controlledSession()
    const neighbour = createLane({ session: other.session, slots, maxQueue: 10, maxInFlight: 2, observations: long })
    void neighbour.submit(request())
    expect(other.runs).toHaveLength(0)
    // The one that was handed over takes the first core that is free, the neighbour the second.
    runs[0]!.finish()
    await results[0]
    expect([runs.length, other.runs.length]).toEqual([3, 0])
    runs[1]!.finish()
    await results[1]
    expect(other.runs).toHaveLength(1)
  })
})

describe('lanes that share run slots', () => {
  test('wake each other, and a lane whose queue has emptied passes the slot on', async () => {
    const slots = createRunSlots(1)
    const lanes = [1, 2, 3].map(() => {
      const { session, runs } = controlledSession()
      return { runs, lane: createLane({ session, slots, maxQueue: 10, maxInFlight: 4 }) }
    })
    const [first, second, third] = lanes
    const client = new AbortController()
    const running = first!.lane.submit(request())
    const canceled = second!.lane.submit(request({ signal: client.signal }))
    const waiting = third!.lane.submit(request())
    client.abort()
    expect(await codeOf(canceled)).toBe('run_canceled')
    expect(third!.runs).toHaveLength(0)
    first!.runs[0]!.finish()
    await running
    expect(second!.runs).toHaveLength(0)
    third!.runs[0]!.finish()
    expect(await codeOf(waiting)).toBe('ok')
  })
})
