import { expect, test } from 'vitest'
import { HastenError, type ErrorCode } from '../../../src/errors.ts'
import { createGate } from '../../../src/serving/deployments/gate.ts'
import { createHealthChecks } from '../../../src/serving/deployments/health.ts'
import type { LoadedVersion } from '../../../src/serving/deployments/load-version.ts'
import { createSlot, errorOf, recordFailure, stateOf, type Slot } from '../../../src/serving/deployments/slot.ts'
import { versionRow } from './support.ts'

/** A version that has failed `failures` times in a row and answers its probe as told. */
function suspect(failures: number, oldestRunMs: number, probe: () => Promise<void>) {
  const slot = createSlot(versionRow(1))
  const state = { queued: 0, inFlight: 0, runMs: 1, oldestRunMs, failuresInRow: failures }
  slot.loaded = { options: {}, lane: { state: () => state }, probe } as unknown as LoadedVersion
  return slot
}

const check = async (slot: Slot) => createHealthChecks(() => {}).look(slot)

test('a version is probed after five failures in a row, and the probe decides', async () => {
  let probes = 0
  let isBroken = true
  const slot = suspect(5, 0, async () => {
    probes++
    if (isBroken) throw new HastenError('model_run_failed', 'broken')
  })
  await check(slot)
  expect([stateOf(slot), errorOf(slot)?.detail]).toEqual(['failed', 'broken'])
  isBroken = false
  await check(slot)
  expect([stateOf(slot), errorOf(slot)]).toEqual(['ready', undefined])
  await check(slot)
  expect(probes).toBe(2)
})

test('four failures prove nothing; a run that never ends does', async () => {
  const probe = async () => Promise.reject(new Error('not to be called'))
  const calm = suspect(4, 1000, probe)
  await check(calm)
  expect(calm.health).toMatchObject({ error: undefined, probing: false, excused: 0 })
  const stalled = suspect(0, 121_000, probe)
  await check(stalled)
  expect(stalled.health.error?.detail).toBe('a run has not returned for 121 s')
})

test('a version is looked at when it is due, later while it is busy', async () => {
  let probes = 0
  const slot = suspect(0, 0, async () => void probes++)
  let busy = 0
  slot.loaded = { ...slot.loaded!, options: { ...slot.loaded!.options, goldenCheckMs: 1000 } }
  slot.gate = { ...createGate({ maxQueue: 1, load: async () => {} }), busy: () => busy }
  await check(slot)
  slot.health.seenAt = performance.now() - 1001
  busy = 1
  await check(slot)
  expect(probes).toBe(0)
  busy = 0
  await check(slot)
  expect(probes).toBe(1)
  slot.health.seenAt = performance.now() - 5001
  busy = 1
  await check(slot)
  expect(probes).toBe(2)
  expect(performance.now() - slot.health.seenAt).toBeLessThan(5000)
})

test('versions that are due are looked at one at a time, and only news is told', async () => {
  const running: number[] = []
  let most = 0
  let news = 0
  const checks = createHealthChecks(() => news++)
  const probes = [1, 2, 3].map((number) => {
    const slot = suspect(0, 0, async () => {
      running.push(number)
      most = Math.max(most, running.length)
      await new Promise(setImmediate)
      running.pop()
      if (number === 2) throw new HastenError('golden_mismatch', 'another answer')
    })
    slot.loaded = { ...slot.loaded!, options: { ...slot.loaded!.options, goldenCheckMs: 1 }, distrust: () => {} }
    slot.health.seenAt = -1
    const [look, again] = [checks.look(slot), checks.look(slot)]
    expect(again).toBeUndefined()
    return look
  })
  for (const probe of probes) await probe
  expect([most, news]).toEqual([1, 1])
})

test('a failed load is tried again only when waiting can help, each time later', () => {
  const slot = createSlot(versionRow(1))
  const fail = (code: ErrorCode) => {
    recordFailure(slot, new HastenError(code, 'no'))
    return slot.failure!
  }
  const waits = [fail('unavailable'), fail('unavailable'), fail('unavailable')]
  expect(waits.map(({ tries }) => tries)).toEqual([1, 2, 3])
  expect(waits[2]!.retryAt - waits[0]!.retryAt).toBeGreaterThan(5000)
  expect(fail('model_load_failed').retryAt).toBe(Infinity)
})
