import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { migrate } from '../../src/storage/index.ts'
import { startEmbeddedPostgres } from '../../src/storage/embedded.ts'
import { createJobsFixture, type JobsFixture } from '../support/jobs.ts'
import { createTestDatabase } from '../support/postgres.ts'
import { freePort } from '../../scripts/lib/free-port.ts'
import { redisMissing, startRedis } from '../support/redis.ts'
import type { Script } from './children/script.ts'

/** Long enough for a server to be gone and back while the job runs. */
const slow: Script = [
  [{ do: 'stage', name: 'measure' }, { do: 'pause', ms: 2_000 }, { do: 'stage', name: 'package' }, { do: 'publish' }],
]

const cleanups: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const clean of cleanups.splice(0).toReversed()) await clean()
})

async function openFixture(connectionString: string, redisUrl: string | undefined): Promise<JobsFixture> {
  const jobs = await createJobsFixture({ connectionString, redisUrl })
  cleanups.push(async () => jobs.close())
  return jobs
}

/** A job that runs, and one that waits behind it, while `restart` takes a server away and brings it back. */
async function surviveRestart(jobs: JobsFixture, restart: () => Promise<void>): Promise<void> {
  await jobs.startWorker({ slots: 1 })
  const running = await jobs.submit(slow)
  await jobs.until(running, ({ stage }) => stage === 'measure')
  const waiting = await jobs.submit([[{ do: 'publish' }]])
  await restart()
  for (const id of [running, waiting]) {
    expect(await jobs.untilOver(id)).toMatchObject({ state: 'succeeded' })
    expect(await jobs.published(id)).toHaveLength(1)
  }
}

const missing = redisMissing()

describe.skipIf(missing !== undefined)(`Redis${missing === undefined ? '' : ` (skipped: ${missing})`}`, () => {
  test('that is killed mid-job and comes back empty loses no job', async (context) => {
    const redis = await startRedis()
    cleanups.push(async () => redis.stop())
    const { restart } = redis
    if (restart === undefined) return context.skip('the Redis that was given is not ours to restart')
    const database = await createTestDatabase()
    cleanups.push(async () => database.drop())
    const jobs = await openFixture(database.connectionString, redis.url)
    await surviveRestart(jobs, restart)
  })
})

describe('Postgres', () => {
  test('that carries the queue and restarts mid-job loses no job', async () => {
    await surviveDatabaseRestart(undefined)
  })

  test.skipIf(missing !== undefined)('that restarts mid-job while Redis carries the queue loses no job', async () => {
    const redis = await startRedis()
    cleanups.push(async () => redis.stop())
    await surviveDatabaseRestart(redis.url)
  })
})

async function surviveDatabaseRestart(redisUrl: string | undefined): Promise<void> {
  const dataDir = await mkdtemp(join(tmpdir(), 'hasten-restart-'))
  cleanups.push(async () => rm(dataDir, { recursive: true, force: true }))
  const options = { dataDir, port: await freePort() }
  let server = await startEmbeddedPostgres(options)
  cleanups.push(async () => server.stop())
  await migrate(server.connectionString)
  const jobs = await openFixture(server.connectionString, redisUrl)
  await surviveRestart(jobs, async () => {
    await server.stop()
    server = await startEmbeddedPostgres(options)
  })
}
