import { once } from 'node:events'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startHasten, type HastenProcess } from '../../scripts/lib/hasten-process.ts'
import { createTestDatabase, type TestDatabase } from '../support/postgres.ts'

let database: TestDatabase
let hasten: HastenProcess

beforeAll(async () => {
  database = await createTestDatabase()
  const settings = { DATABASE_URL: database.connectionString, SHUTDOWN_DELAY_MS: '3000', LOG_LEVEL: 'fatal' }
  hasten = await startHasten(settings)
})
afterAll(async () => {
  await hasten?.stop()
  await database.drop()
})

const statusOf = async (path: string) => (await fetch(hasten.url + path)).status

test('at SIGTERM it first says that it is not ready, serves on for the delay, then ends', async () => {
  expect(await statusOf('/readyz')).toBe(200)
  const gone = once(hasten.process, 'exit')
  hasten.process.kill('SIGTERM')
  await expect.poll(async () => statusOf('/readyz'), { interval: 20, timeout: 3000 }).toBe(503)
  expect(await statusOf('/livez')).toBe(200)
  await hasten.client.get('/v1/models')
  expect(await statusOf('/v2')).toBe(200)
  expect((await gone)[0]).toBe(0)
})
