import { afterAll, beforeAll, expect, test } from 'vitest'

import { createOrtRuntime } from '../../../../src/engine/runtime/ort/index.ts'
import type { Session } from '../../../../src/engine/runtime/port.ts'
import { endless, loopFeeds, loopModel, numbersOf } from '../conformance/models.ts'

const runtime = createOrtRuntime({ maxRunsInFlight: 1 })
let session: Session
beforeAll(async () => {
  session = await runtime.createSession({ bytes: loopModel }, { session: { intraOpThreads: 1 } })
})
afterAll(() => runtime.close())

test('runs beyond the limit wait in order, and an abort or a deadline takes them out at once', async () => {
  const [first, third] = [new AbortController(), new AbortController()]
  const running = session.run(loopFeeds(endless), { signal: first.signal })
  const late = session.run(loopFeeds(1n), { deadlineMs: 5 })
  const given = session.run(loopFeeds(1n), { signal: third.signal })
  const patient = session.run(loopFeeds(3n))
  third.abort()
  // Both end although the first run, which holds the only place, has no end.
  await expect(given).rejects.toMatchObject({ code: 'run_canceled' })
  await expect(late).rejects.toMatchObject({ code: 'run_deadline' })
  first.abort()
  await expect(running).rejects.toMatchObject({ code: 'run_canceled' })
  expect(numbersOf((await patient).y)).toEqual([3])
})

test('a limit of nothing is refused', () => {
  expect(() => createOrtRuntime({ maxRunsInFlight: 0 })).toThrow(expect.objectContaining({ code: 'config_invalid' }))
})
