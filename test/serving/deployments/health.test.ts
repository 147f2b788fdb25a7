import { expect, test } from 'vitest'
import { HastenError } from '../../../src/errors.ts'
import { createEntry, freshHealth, recordFailure, statusesOf } from '../../../src/serving/deployments/entry.ts'
import { checkHealth } from '../../../src/serving/deployments/health.ts'
import type { LoadedVersion } from '../../../src/serving/deployments/load-version.ts'

const now = new Date()
const row = {
  id: 'dep_1',
  project: 'default',
  name: 'm',
  state: 'ready' as const,
  error: null,
  active: 1,
  loaded: true,
  policy: {},
  traffic: {},
  metadata: {},
  versions: [],
  createdAt: now,
  updatedAt: now,
}

/** An entry whose version has failed `failures` times in a row and answers its probe as told. */
function suspect(failures: number, oldestRunMs: number, probe: () => Promise<void>) {
  const entry = createEntry(row)
  const state = { queued: 0, inFlight: 0, runMs: 1, oldestRunMs, failuresInRow: failures }
  entry.current = { served: { version: '1', lane: { state: () => state } }, probe } as unknown as LoadedVersion
  return entry
}

const check = (entry: ReturnType<typeof suspect>) =>
  new Promise<void>((resolve) => {
    checkHealth(entry, resolve)
    if (!entry.health.probing) resolve()
  })

test('a version is probed after five failures in a row, and the probe decides', async () => {
  let probes = 0
  let isBroken = true
  const entry = suspect(5, 0, async () => {
    probes++
    if (isBroken) throw new HastenError('model_run_failed', 'broken')
  })
  await check(entry)
  expect(statusesOf(entry)).toMatchObject([{ version: 1, state: 'failed', error: { detail: 'broken' } }])
  isBroken = false
  await check(entry)
  expect(statusesOf(entry)).toEqual([{ version: 1, state: 'ready', error: null }])
  await check(entry)
  expect(probes).toBe(2)
})

test('four failures prove nothing; a run that never ends does', async () => {
  const probe = async () => Promise.reject(new Error('not to be called'))
  const calm = suspect(4, 1000, probe)
  await check(calm)
  expect(calm.health).toEqual(freshHealth())
  const stalled = suspect(0, 121_000, probe)
  await check(stalled)
  expect(stalled.health.error?.detail).toBe('a run has not returned for 121 s')
})

test('a failed load is tried again only when waiting can help, each time later', () => {
  const entry = createEntry(row)
  const waits = [1, 2, 3].map(() => recordFailure(entry, 1, new HastenError('unavailable', 'away')))
  expect(waits.map(({ tries }) => tries)).toEqual([1, 2, 3])
  expect(waits[2]!.retryAt - waits[0]!.retryAt).toBeGreaterThan(5000)
  expect(recordFailure(entry, 1, new HastenError('model_load_failed', 'no')).retryAt).toBe(Infinity)
  expect(recordFailure(entry, 2, new HastenError('unavailable', 'away')).tries).toBe(1)
})
