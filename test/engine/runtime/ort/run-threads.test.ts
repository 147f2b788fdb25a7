import { setTimeout } from 'node:timers/promises'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { createOrtRuntime } from '../../../../src/engine/runtime/ort/index.ts'
import { createRunThreads } from '../../../../src/engine/runtime/ort/run-threads.ts'
import type { Runtime, Session } from '../../../../src/engine/runtime/port.ts'
import { endless, loopFeeds, loopModel, numbersOf } from '../conformance/models.ts'

const runtimes: Runtime[] = []
afterEach(async () => {
  for (const runtime of runtimes.splice(0)) await runtime.close()
})

const own = { thread: 'own' } as const

async function open(runThreads: number): Promise<Session> {
  const runtime = createOrtRuntime({ runThreads })
  runtimes.push(runtime)
  expect(runtime.runThreads).toBe(runThreads)
  return runtime.createSession({ bytes: loopModel }, { session: { intraOpThreads: 1 } })
}

/** Threads start when they are first asked for; they have, when as many runs as they take have waited for one. */
async function start(session: Session, threads: number): Promise<void> {
  await vi.waitFor(
    async () => {
      const runs = Array.from({ length: threads + 1 }, () => session.runBorrowed(loopFeeds(1000n), own))
      const results = await Promise.all(runs)
      for (const result of results) result.release()
      expect(results.every(({ waitedMs = 0 }) => waitedMs > 0)).toBe(true)
    },
    { timeout: 20_000, interval: 20 },
  )
}

describe('runs on threads of their own', () => {
  test('start with the pool, and give their answers from the first on', async () => {
    const session = await open(2)
    for (let turn = 1; turn < 100; turn++) {
      const results = await Promise.all([1, 2, 3, 4].map((more) => session.run(loopFeeds(10n, turn * more), own)))
      expect(results.map(({ y }) => numbersOf(y)[0])).toEqual([1, 2, 3, 4].map((more) => turn * more + 10))
    }
  })

  test('wait for the first thread that is free, one at a time, and say how long', async () => {
    const session = await open(1)
    await start(session, 1)
    const controller = new AbortController()
    const running = session.run(loopFeeds(endless), { ...own, signal: controller.signal })
    const waiting = session.runBorrowed(loopFeeds(3n), own)
    // The thread has no end to come to, so this one gets through on another.
    const beside = await session.runBorrowed(loopFeeds(4n), own)
    expect([numbersOf(beside.outputs.y), beside.waitedMs]).toEqual([[4], 0])
    beside.release()
    controller.abort()
    await expect(running).rejects.toMatchObject({ code: 'run_canceled' })
    const late = await waiting
    expect(numbersOf(late.outputs.y)).toEqual([3])
    expect(late.waitedMs).toBeGreaterThan(0)
    late.release()
  })

  test('go in the order in which they came, whichever place in the table they got', async () => {
    const session = await open(2)
    await start(session, 2)
    const controllers = [0, 1, 2].map(() => new AbortController())
    const [first, second, third] = controllers.map(({ signal }) =>
      session.run(loopFeeds(endless), { ...own, signal }).catch(() => 'ended'),
    )
    const order: string[] = []
    const note = (name: string) => session.run(loopFeeds(3n), own).then(() => order.push(name))
    const earlier = note('earlier')
    // Calls are written some turns after they are made.
    await setTimeout(20)
    controllers[0]!.abort()
    await first
    // This one has the place of the first; the thread that had it runs the third.
    const later = note('later')
    await setTimeout(20)
    controllers[2]!.abort()
    await Promise.all([third, earlier, later])
    expect(order).toEqual(['earlier', 'later'])
    controllers[1]!.abort()
    await second
  })

  test('an abort ends the one that waits as soon as a thread takes it, and the one that runs', async () => {
    const session = await open(1)
    await start(session, 1)
    const [first, second] = [new AbortController(), new AbortController()]
    const running = session.run(loopFeeds(endless), { ...own, signal: first.signal })
    const waiting = session.run(loopFeeds(endless), { ...own, signal: second.signal })
    second.abort()
    first.abort()
    await expect(running).rejects.toMatchObject({ code: 'run_canceled' })
    await expect(waiting).rejects.toMatchObject({ code: 'run_canceled' })
    expect(numbersOf((await session.run(loopFeeds(3n, 10), own)).y)).toEqual([13])
  })

  test('end with the runtime', async () => {
    const session = await open(2)
    await start(session, 2)
    const run = session.run(loopFeeds(1000n), own)
    const [runtime] = runtimes.splice(0)
    await runtime?.close()
    expect(numbersOf((await run).y)).toEqual([1000])
  })
})

describe('threads that cannot start', () => {
  const slots = (count: number) => new BigUint64Array(count)
  const none = { inputNames: slots(0), inputs: slots(0), outputNames: slots(0), results: slots(0) }
  const call = { session: 0n, options: 0n, inputCount: 0, outputCount: 0, ...none }

  test('leave the calls to others, and say why', async () => {
    const warnings: string[] = []
    const threads = createRunThreads(1, '/no/such/library.so', (message) => warnings.push(message))
    expect(threads.start(call)).toBeUndefined()
    await vi.waitFor(() => expect(warnings).toEqual([expect.stringContaining('/no/such/library.so')]), 20_000)
    expect(threads.start(call)).toBeUndefined()
    await threads.close()
  })

  test('are none where none are wanted', async () => {
    const threads = createRunThreads(0, '/no/such/library.so', () => {})
    expect(threads.start(call)).toBeUndefined()
    await threads.close()
  })
})
