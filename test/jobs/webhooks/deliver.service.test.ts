import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { createJobMetrics } from '../../../src/jobs/metrics.ts'
import { deliverDue, startDeliveries, type DeliverDeps } from '../../../src/jobs/webhooks/deliver.ts'
import { createSender, type Sender } from '../../../src/jobs/webhooks/send.ts'
import { openStorage, type Storage } from '../../../src/storage/index.ts'
import { createMetrics } from '../../../src/telemetry.ts'
import { testLogger } from '../../support/job-worker.ts'
import { createTestDatabase, type TestDatabase } from '../../support/postgres.ts'

let project: string
let database: TestDatabase
let storage: Storage
let sender: Sender
let deps: DeliverDeps
let received: string[]
let answer: (response: ServerResponse) => void
const server = createServer((request, response) => {
  received.push(String(request.headers['webhook-id']))
  request.resume().on('end', () => answer(response))
})

beforeAll(async () => {
  database = await createTestDatabase()
  storage = await openStorage({ connectionString: database.connectionString })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
})
afterAll(async () => {
  server.close()
  await storage.close()
  await database.drop()
})
beforeEach((context) => {
  project = `p-${context.task.id}`.toLowerCase()
  received = []
  answer = (response) => response.writeHead(200).end()
  sender = createSender({ allowPrivate: true, timeoutMs: 5_000 })
  const metrics = createJobMetrics(createMetrics())
  deps = { webhooks: storage.webhooks, metrics, logger: testLogger, allowPrivate: true, intervalMs: 20 }
})
afterEach(async () => sender.close())

async function subscribe(): Promise<string> {
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
  return (await storage.webhooks.create({ project, url, events: ['*'] })).id
}

async function deliveries(webhookId: string) {
  return (await storage.webhooks.listDeliveries(project, webhookId, { limit: 100 })).rows
}

const announce = async () => storage.webhooks.enqueue(project, 'job.succeeded', { type: 'job.succeeded', data: {} })

describe('webhook deliveries', () => {
  test('go out once each, however many send', async () => {
    const id = await subscribe()
    await Promise.all(Array.from({ length: 12 }, announce))
    await Promise.all([deliverDue(deps, sender), deliverDue(deps, sender), deliverDue(deps, sender)])
    expect(new Set(received).size).toBe(12)
    expect(received).toHaveLength(12)
    expect((await deliveries(id)).map((row) => row.state)).toEqual(Array.from({ length: 12 }, () => 'delivered'))
  })

  test('that are refused are tried again after a pause, not before', async () => {
    answer = (response) => response.writeHead(500).end()
    const id = await subscribe()
    await announce()
    const before = Date.now()
    expect(await deliverDue(deps, sender)).toBe(1)
    expect(await deliverDue(deps, sender)).toBe(0)
    const [row] = await deliveries(id)
    expect(row).toMatchObject({ state: 'pending', tries: 1, lastStatus: 500 })
    expect(row!.nextTryAt!.getTime()).toBeGreaterThanOrEqual(before + 5_000)
    expect(await deps.metrics.webhookDeliveries.get()).toMatchObject({
      values: [{ value: 1, labels: { outcome: 'failed' } }],
    })
  })

  test('wait as long as the receiver asks', async () => {
    answer = (response) => response.writeHead(429, { 'retry-after': '600' }).end()
    const id = await subscribe()
    await announce()
    const before = Date.now()
    await deliverDue(deps, sender)
    const [row] = await deliveries(id)
    expect(row!.nextTryAt!.getTime()).toBeGreaterThanOrEqual(before + 600_000)
  })

  test('end for a receiver that is gone', async () => {
    answer = (response) => response.writeHead(410).end()
    const id = await subscribe()
    await announce()
    await deliverDue(deps, sender)
    expect(await deliveries(id)).toMatchObject([{ state: 'failed', lastStatus: 410, nextTryAt: null }])
    expect(await storage.webhooks.find(project, id)).toMatchObject({ enabled: false })
    expect(await announce()).toBe(0)
  })

  test('are sent by a loop until it is stopped', async () => {
    const id = await subscribe()
    const loop = startDeliveries(deps)
    await announce()
    await expect.poll(async () => (await deliveries(id)).map((row) => row.state)).toEqual(['delivered'])
    await loop.stop()
    await announce()
    expect(received).toHaveLength(1)
  })
})
