import { expect, test } from 'vitest'
import { startLoop } from '../../src/jobs/loop.ts'
import { createLogger } from '../../src/telemetry.ts'

const logger = createLogger({ level: 'silent', role: 'test' })

test('a round that fails does not end the loop, and rounds never overlap', async () => {
  let rounds = 0
  let active = 0
  let most = 0
  const enough = Promise.withResolvers<void>()
  const loop = startLoop('test', 1, logger, async () => {
    active += 1
    most = Math.max(most, active)
    await new Promise(setImmediate)
    active -= 1
    rounds += 1
    if (rounds === 5) enough.resolve()
    if (rounds % 2 === 0) throw new Error('now and then')
  })
  await enough.promise
  await loop.stop()
  expect(most).toBe(1)
})

test('stopping waits for the round in progress and begins no other', async () => {
  let ended = 0
  const gate = Promise.withResolvers<void>()
  const loop = startLoop('test', 1, logger, async () => {
    await gate.promise
    ended += 1
  })
  const stopped = loop.stop()
  gate.resolve()
  await stopped
  await new Promise((resolve) => setTimeout(resolve, 10))
  expect(ended).toBe(1)
})
