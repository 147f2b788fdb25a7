import { beforeEach, expect, test } from 'vitest'
import { runSql } from '../../support/postgres.ts'
import { createJob, useStorage } from '../../support/storage.ts'

const context = useStorage()
const webhooks = () => context.storage.webhooks
const sql = (text: string) => runSql(context.connectionString, text)
const create = (events: readonly string[], project = 'p1') =>
  webhooks().create({ project, url: 'https://example.org/hook', events })
const claim = (limit = 10) => webhooks().claimDeliveries({ limit, leaseMs: 60_000 })

beforeEach(async () => {
  await sql('DELETE FROM webhooks')
})

test('secrets fit the Standard Webhooks form', async () => {
  const { secret } = await create(['job.failed'])
  expect(secret).toMatch(/^whsec_/)
  expect(Buffer.from(secret.slice(6), 'base64')).toHaveLength(32)
})

test('an event goes to the enabled webhooks of the project that want it', async () => {
  const wanted = [await create(['job.failed', 'job.succeeded']), await create(['*'])]
  await create(['job.canceled'])
  await create(['*'], 'p2')
  const off = await create(['*'])
  await webhooks().update('p1', off.id, { enabled: false })
  expect(await webhooks().enqueue('p1', 'job.failed', { id: 1 })).toBe(2)
  const claimed = await claim()
  expect(new Set(claimed.map(({ webhookId }) => webhookId))).toEqual(new Set(wanted.map(({ id }) => id)))
  expect(claimed[0]).toMatchObject({ payload: { id: 1 }, tries: 1, webhook: { url: 'https://example.org/hook' } })
})

test('a job that ends leaves its deliveries in the same transaction', async () => {
  const all = await create(['*'])
  const own = await create(['something.else'])
  const job = await createJob(context.storage, { webhook: own.id, metadata: { git_sha: 'abc' } })
  expect(await claim()).toEqual([])
  await context.storage.jobs.requestCancel('p1', job.id, 'x')
  const claimed = await claim()
  expect(new Set(claimed.map(({ webhookId }) => webhookId))).toEqual(new Set([all.id, own.id]))
  expect(claimed[0]!.payload).toMatchObject({
    type: 'job.canceled',
    data: { id: job.id, state: 'canceled', metadata: { git_sha: 'abc' }, result: null },
  })
})

test('each delivery goes to one of many claimers', async () => {
  await create(['*'])
  for (let i = 0; i < 12; i += 1) await webhooks().enqueue('p1', 'job.failed', { i })
  const claimed = (await Promise.all(Array.from({ length: 6 }, () => claim(4)))).flat()
  expect(new Set(claimed.map(({ id }) => id)).size).toBe(claimed.length)
  const rest = await claim(100)
  expect(claimed.length + rest.length).toBe(12)
})

test('a claimed delivery comes back when its claimer dies, a failed one when it is due', async () => {
  const { id } = await create(['*'])
  await webhooks().enqueue('p1', 'job.failed', {})
  const [first] = await claim()
  expect(await claim()).toEqual([])
  await sql('UPDATE webhook_deliveries SET next_try_at = now()')
  const [second] = await claim()
  expect(second).toMatchObject({ id: first!.id, tries: 2 })
  await webhooks().markFailed(first!.id, { status: 500, error: 'no', nextTryAt: new Date(Date.now() - 1) })
  const [third] = await claim()
  expect(third).toMatchObject({ tries: 3, lastStatus: 500, lastError: 'no' })
  await webhooks().markDelivered(first!.id, 204)
  const { rows } = await webhooks().listDeliveries('p1', id, { limit: 10 })
  expect(rows).toMatchObject([{ state: 'delivered', lastStatus: 204, lastError: null, nextTryAt: null }])
})

test('a delivery that is given up is not tried again', async () => {
  await create(['*'])
  await webhooks().enqueue('p1', 'job.failed', {})
  const [delivery] = await claim()
  await webhooks().markFailed(delivery!.id, { error: 'refused', nextTryAt: null })
  await sql("UPDATE webhook_deliveries SET next_try_at = now() - interval '1 day' WHERE next_try_at IS NOT NULL")
  expect(await claim()).toEqual([])
})

test('one webhook can be told alone, and told the same again', async () => {
  const hook = await create([])
  await create(['*'])
  const delivery = (await webhooks().deliver('p1', hook.id, 'webhook.test', { hello: 1 }))!
  expect(delivery).toMatchObject({ webhookId: hook.id, type: 'webhook.test', state: 'pending', tries: 0 })
  await webhooks().markFailed(delivery.id, { error: 'no', nextTryAt: null })
  const again = (await webhooks().redeliver('p1', hook.id, delivery.id))!
  expect(again).toMatchObject({ payload: { hello: 1 }, state: 'pending', tries: 0 })
  expect(again.id).not.toBe(delivery.id)
  expect((await claim()).map(({ id }) => id)).toEqual([again.id])
  expect(await webhooks().deliver('p2', hook.id, 'x', {})).toBeUndefined()
  expect(await webhooks().redeliver('p2', hook.id, delivery.id)).toBeUndefined()
})

test('update, list and remove stay in the project', async () => {
  const hook = await create(['*'])
  expect(await webhooks().update('p2', hook.id, { url: 'x' })).toBeUndefined()
  expect(await webhooks().update('p1', hook.id, { events: ['job.failed'] })).toEqual({
    ...hook,
    events: ['job.failed'],
  })
  expect((await webhooks().list('p2', { limit: 9 })).rows).toEqual([])
  expect(await webhooks().remove('p2', hook.id)).toBe(false)
  expect(await webhooks().remove('p1', hook.id)).toBe(true)
  expect(await webhooks().find('p1', hook.id)).toBeUndefined()
})
