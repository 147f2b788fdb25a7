import { expect, test } from 'vitest'

import { ocrModels } from '../../../support/models.ts'
import type { Subject } from '../conformance.ts'
import { endless, floats, loopFeeds, loopModel, numbersOf, pairModel } from './models.ts'

const feeds = { a: floats([1, 2], 1, 2), b: floats([1, 2], 10, 20) }

export function checkLifecycle({ runtime, create, can }: Subject): void {
  test('says its version', () => {
    expect(runtime().version).toMatch(/^\d+\.\d+\.\d+$/)
  })

  test('release may be called again, and ends the use of the session with a clear error', async () => {
    const session = await runtime().createSession({ bytes: pairModel })
    await session.release()
    await Promise.all([session.release(), session.release()])
    const refusal = { code: 'run_failed', message: /session was released/ }
    await expect(session.run(feeds)).rejects.toMatchObject(refusal)
    await expect(session.runBorrowed(feeds)).rejects.toMatchObject(refusal)
    // What it knew of the model stays readable.
    expect(session.inputs).toHaveLength(2)
  })

  test('release waits for the runs in flight, which end as if nothing were', async () => {
    const session = await runtime().createSession({ bytes: loopModel })
    const order: string[] = []
    const runs = [1, 2, 3].map(async (index) => {
      const { y } = await session.run(loopFeeds(2000n, index))
      order.push('run')
      return numbersOf(y)[0]
    })
    const released = session.release().then(() => order.push('released'))
    await expect(session.run(loopFeeds(1n))).rejects.toMatchObject({ code: 'run_failed' })
    expect(await Promise.all(runs)).toEqual([2001, 2002, 2003])
    await released
    expect(order).toEqual(['run', 'run', 'run', 'released'])
  })

  test.runIf(can.asynchronous)('release waits for a run that is being canceled', async () => {
    const session = await runtime().createSession({ bytes: loopModel })
    const controller = new AbortController()
    const run = session.run(loopFeeds(endless), { signal: controller.signal })
    const released = session.release()
    controller.abort()
    await expect(run).rejects.toMatchObject({ code: 'run_canceled' })
    await released
  })

  test('two runtimes live in one process, and closing one leaves the other', async () => {
    const other = create()
    const theirs = await other.createSession({ bytes: pairModel })
    const ours = await runtime().createSession({ bytes: pairModel })
    expect(numbersOf((await theirs.run(feeds)).sum)).toEqual([11, 22])
    await other.close()
    expect(numbersOf((await ours.run(feeds)).sum)).toEqual([11, 22])
    await ours.release()
  })

  test('close releases forgotten sessions after their runs and loads, and refuses further loads', async () => {
    const other = create()
    const session = await other.createSession({ bytes: loopModel })
    const run = session.run(loopFeeds(2000n))
    const late = other.createSession({ path: ocrModels.cls })
    const closed = other.close()
    expect(numbersOf((await run).y)).toEqual([2000])
    await (await late).release()
    await closed
    await other.close()
    await expect(session.run(loopFeeds(1n))).rejects.toMatchObject({ code: 'run_failed' })
    await expect(other.createSession({ bytes: pairModel })).rejects.toMatchObject({
      code: 'model_load_failed',
      message: /runtime was closed/,
    })
  })
}
