import { createArtifacts } from './artifacts/postgres.ts'
import { openDatabase, openPool } from './database.ts'
import { guardMethods } from './errors.ts'
import { createExclusively } from './exclusive.ts'
import { createListener } from './listener.ts'
import { createCaptured } from './repositories/captured.ts'
import { createDatasets } from './repositories/datasets.ts'
import { createDeployments } from './repositories/deployments/index.ts'
import { createEvents } from './repositories/events.ts'
import { createHosts } from './repositories/hosts.ts'
import { createIdempotency } from './repositories/idempotency.ts'
import { createJobs } from './repositories/jobs/index.ts'
import { createKernelTimes } from './repositories/kernel-times.ts'
import { createKeys } from './repositories/keys.ts'
import { createModels } from './repositories/models.ts'
import { createRecipes } from './repositories/recipes.ts'
import { createStageCache } from './repositories/stage-cache.ts'
import { createWebhooks } from './repositories/webhooks.ts'
import type { Storage, StorageOptions } from './storage.ts'

const defaultConnections = 10
const artifactConnections = 6

/** Opens a migrated database. Throws unavailable when it does not answer. */
export async function openStorage(options: StorageOptions): Promise<Storage> {
  const { connectionString, logger, maxConnections = defaultConnections } = options
  const database = openDatabase({ connectionString, max: maxConnections, logger })
  const artifactPool = openPool({
    connectionString,
    max: artifactConnections,
    logger,
    // A chunk need not wait for the disk; the statement that makes its blob visible does.
    options: '-c synchronous_commit=off',
  })
  const listener = createListener(connectionString, logger)
  const direct = guardMethods({
    async notify(channel: string, payload: string) {
      await database.prisma.$executeRaw`SELECT pg_notify(${channel}, ${payload})`
    },
    async ping() {
      await database.prisma.$queryRaw`SELECT 1`
    },
    async close() {
      await Promise.all([listener.close(), database.close(), artifactPool.end()])
    },
  })
  const storage: Storage = {
    models: guardMethods(createModels(database)),
    datasets: guardMethods(createDatasets(database)),
    recipes: guardMethods(createRecipes(database)),
    jobs: guardMethods(createJobs(database)),
    events: guardMethods(createEvents(database)),
    keys: guardMethods(createKeys(database)),
    deployments: guardMethods(createDeployments(database)),
    captured: guardMethods(createCaptured(database, artifactPool)),
    hosts: guardMethods(createHosts(database)),
    idempotency: guardMethods(createIdempotency(database)),
    webhooks: guardMethods(createWebhooks(database)),
    stageCache: guardMethods(createStageCache(database)),
    kernelTimes: guardMethods(createKernelTimes(database)),
    artifacts: createArtifacts(artifactPool),
    listen: listener.listen,
    exclusively: createExclusively(connectionString, logger),
    ...direct,
  }
  try {
    await storage.ping()
    return storage
  } catch (error) {
    await storage.close()
    throw error
  }
}
