import { setImmediate, setTimeout } from 'node:timers/promises'

import { afterAll, beforeAll, expect, test } from 'vitest'

import type { Session } from '../../../../src/engine/runtime/port.ts'
import type { Subject } from '../conformance.ts'
import { endless, floats, loopFeeds, loopModel, numbersOf, pairModel } from './models.ts'

export function checkControl({ runtime, can }: Subject): void {
  let session: Session
  beforeAll(async () => {
    session = await runtime().createSession({ bytes: loopModel }, { session: { intraOpThreads: 1, interOpThreads: 1 } })
  })
  afterAll(() => session.release())

  test('a signal that is aborted already ends everything before it begins', async () => {
    const signal = AbortSignal.abort(new Error('gone'))
    await expect(session.run(loopFeeds(1n), { signal })).rejects.toMatchObject({ code: 'run_canceled' })
    await expect(runtime().createSession({ bytes: pairModel }, { signal })).rejects.toMatchObject({
      code: 'run_canceled',
    })
  })

  test('a deadline of nothing ends a run before it begins', async () => {
    await expect(session.run(loopFeeds(1n), { deadlineMs: 0 })).rejects.toMatchObject({ code: 'run_deadline' })
  })

  test.each(['caller', 'own', 'pool'] as const)(
    'a run on a thread of kind %s gives the same, and its errors',
    async (thread) => {
      expect(numbersOf((await session.run(loopFeeds(3n, 10), { thread })).y)).toEqual([13])
      const signal = AbortSignal.abort(new Error('gone'))
      await expect(session.run(loopFeeds(1n), { thread, signal })).rejects.toMatchObject({
        code: 'run_canceled',
      })
      const borrowed = await session.runBorrowed(loopFeeds(2n, 10), { thread })
      expect(numbersOf(borrowed.outputs.y)).toEqual([12])
      borrowed.release()
    },
  )

  test('an abort during a run rejects it, and the session goes on', async () => {
    const controller = new AbortController()
    const run = session.run(loopFeeds(can.asynchronous ? endless : 1000n), { signal: controller.signal })
    await setImmediate()
    controller.abort()
    await expect(run).rejects.toMatchObject({ code: 'run_canceled' })
    expect(numbersOf((await session.run(loopFeeds(3n, 10))).y)).toEqual([13])
  })

  test('a deadline during a run rejects it, and the session goes on', async () => {
    const turns = can.asynchronous ? endless : 200_000n
    await expect(session.run(loopFeeds(turns), { deadlineMs: 5 })).rejects.toMatchObject({ code: 'run_deadline' })
    expect(numbersOf((await session.run(loopFeeds(3n, 10), { deadlineMs: 60_000 })).y)).toEqual([13])
  })

  test('an abort during a load rejects it', async () => {
    const controller = new AbortController()
    const load = runtime().createSession({ bytes: pairModel }, { signal: controller.signal })
    controller.abort()
    await expect(load).rejects.toMatchObject({ code: 'run_canceled' })
  })

  test('8 runs in flight each get their own answer', async () => {
    const runs = Array.from({ length: 8 }, (_, index) => session.run(loopFeeds(100n, index * 1000)))
    const results = await Promise.all(runs)
    expect(results.map(({ y }) => numbersOf(y)[0])).toEqual([100, 1100, 2100, 3100, 4100, 5100, 6100, 7100])
  })

  test('8 runs of which some are aborted: the others are not touched', async () => {
    const controller = new AbortController()
    const runs = Array.from({ length: 8 }, (_, index) =>
      session.run(loopFeeds(100n, index), index % 2 === 0 ? {} : { signal: controller.signal }),
    )
    controller.abort()
    const settled = await Promise.allSettled(runs)
    const seen = settled.map((each) => (each.status === 'fulfilled' ? numbersOf(each.value.y)[0] : each.reason.code))
    expect(seen).toEqual([100, 'run_canceled', 102, 'run_canceled', 104, 'run_canceled', 106, 'run_canceled'])
  })

  test('a failing run among others fails alone', async () => {
    const bad = session.run({ ...loopFeeds(5n), x: floats([2], 1, 2) })
    const good = session.run(loopFeeds(5n))
    await expect(bad).rejects.toMatchObject({ code: 'input_shape' })
    expect(numbersOf((await good).y)).toEqual([5])
  })

  test.runIf(can.asynchronous)('the event loop goes on turning during a run', async () => {
    const controller = new AbortController()
    const run = session.run(loopFeeds(endless), { signal: controller.signal })
    const ended = run.then(
      () => true,
      () => true,
    )
    // Were the loop blocked, this would never get past its first turn.
    for (let turns = 0; turns < 100; turns += 1) await setImmediate()
    await setTimeout(1)
    expect(await Promise.race([ended, Promise.resolve(false)])).toBe(false)
    controller.abort()
    await expect(run).rejects.toMatchObject({ code: 'run_canceled' })
  })

  test.runIf(can.asynchronous)('one endless run is ended while its neighbour goes on', async () => {
    const [first, second] = [new AbortController(), new AbortController()]
    const runs = [first, second].map(({ signal }) => session.run(loopFeeds(endless), { signal }))
    await setImmediate()
    first.abort()
    await expect(runs[0]).rejects.toMatchObject({ code: 'run_canceled' })
    const state = await Promise.race([
      runs[1]!.then(
        () => 'ended',
        () => 'ended',
      ),
      setImmediate('running'),
    ])
    expect(state).toBe('running')
    second.abort()
    await expect(runs[1]).rejects.toMatchObject({ code: 'run_canceled' })
  })
}
