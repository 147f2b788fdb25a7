import { expect, test } from 'vitest'
import { runSql } from '../../support/postgres.ts'
import { useStorage } from '../../support/storage.ts'

const context = useStorage()
const keys = () => context.storage.idempotency
const reserve = (key: string, changes = {}) =>
  keys().reserve({ project: 'p1', key, fingerprint: 'POST /v1/jobs a', leaseMs: 60_000, ...changes })
const age = (key: string, change: string) =>
  runSql(context.connectionString, `UPDATE idempotency_keys SET ${change} WHERE key = $1`, [key])

async function reserved(key: string, changes = {}): Promise<{ project: string; key: string; owner: string }> {
  const reservation = await reserve(key, changes)
  if (reservation.outcome !== 'reserved') throw new Error(reservation.outcome)
  return { project: 'p1', key, owner: reservation.owner }
}

test('one of 50 at once does the work, the others wait for it', async () => {
  const outcomes = (await Promise.all(Array.from({ length: 50 }, () => reserve('fifty')))).map(({ outcome }) => outcome)
  expect(outcomes.filter((outcome) => outcome === 'reserved')).toHaveLength(1)
  expect(outcomes.filter((outcome) => outcome === 'in_flight')).toHaveLength(49)
})

test('the same request again gets the first response', async () => {
  const held = await reserved('again')
  const response = { status: 202, body: { id: 'job_1' } }
  expect(await keys().complete({ ...held, response })).toBe(true)
  expect(await reserve('again')).toEqual({ outcome: 'completed', response })
})

test('another request under the key is a mismatch, in flight and after', async () => {
  const held = await reserved('other')
  const other = { fingerprint: 'POST /v1/jobs b' }
  expect(await reserve('other', other)).toEqual({ outcome: 'mismatch' })
  await keys().complete({ ...held, response: {} })
  expect(await reserve('other', other)).toEqual({ outcome: 'mismatch' })
})

test('keys of another project are other keys', async () => {
  await reserved('shared')
  expect((await reserve('shared', { project: 'p2' })).outcome).toBe('reserved')
})

test('a released key is free, a completed one is not released', async () => {
  const held = await reserved('release')
  await keys().release(held)
  const next = await reserved('release')
  await keys().complete({ ...next, response: {} })
  await keys().release(next)
  expect((await reserve('release')).outcome).toBe('completed')
})

test('after a crash the same request takes over when the lease is over; the old owner is out', async () => {
  const crashed = await reserved('crash')
  expect(await keys().renew({ ...crashed, leaseMs: 60_000 })).toBe(true)
  await age('crash', "lease_expires_at = now() - interval '1 s'")
  expect((await reserve('crash', { fingerprint: 'another' })).outcome).toBe('mismatch')
  const takers = await Promise.all(Array.from({ length: 5 }, () => reserve('crash')))
  expect(takers.filter(({ outcome }) => outcome === 'reserved')).toHaveLength(1)
  expect(await keys().renew({ ...crashed, leaseMs: 60_000 })).toBe(false)
  expect(await keys().complete({ ...crashed, response: { late: true } })).toBe(false)
})

test('after 24 hours a key may be used for anything', async () => {
  const held = await reserved('old')
  await keys().complete({ ...held, response: {} })
  await age('old', "created_at = now() - interval '23 hours'")
  expect((await reserve('old', { fingerprint: 'new' })).outcome).toBe('mismatch')
  await age('old', "created_at = now() - interval '25 hours'")
  expect((await reserve('old', { fingerprint: 'new' })).outcome).toBe('reserved')
})

test('old keys are pruned', async () => {
  await reserved('pruned')
  await reserved('kept')
  await age('pruned', "created_at = now() - interval '25 hours'")
  expect(await keys().prune(new Date())).toBe(1)
  expect((await reserve('kept')).outcome).toBe('in_flight')
})
