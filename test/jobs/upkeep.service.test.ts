import { expect, test } from 'vitest'
import { startUpkeep } from '../../src/jobs/upkeep.ts'
import { newId, type Storage } from '../../src/storage/index.ts'
import { createMetrics } from '../../src/telemetry.ts'
import { testLogger } from '../support/job-worker.ts'
import { runSql } from '../support/postgres.ts'
import { createModel, storeFile, useStorage } from '../support/storage.ts'

const context = useStorage()
const project = 'p1'

/** One of everything that grows old, as old as it is said to be. */
async function leaveBehind(days: number) {
  const { storage, connectionString } = context
  const file = await storeFile(storage, 'result', `result ${newId('blb')}`)
  const key = newId('blb')
  await storage.stageCache.put({ project, key, ...file, result: {} })
  await storage.kernelTimes.put(key, { kernel: { fp32: 1 } })
  const orphan = await storeFile(storage, 'upload', `upload ${key}`)
  const host = newId('hst')
  await storage.hosts.register({ id: host, name: 'h', inventory: {}, queues: [], slots: 1 })
  const name = newId('dep').replace('_', '-')
  const { id: deploymentId } = await storage.deployments.create({
    project,
    name,
    modelId: (await createModel(storage)).id,
  })
  await storage.deployments.reportReplica({
    deploymentId,
    version: 1,
    serverId: newId('srv'),
    state: 'ready',
    url: 'x',
  })
  const age = (table: string, column: string) =>
    runSql(connectionString, `UPDATE ${table} SET ${column} = ${column} - $1 * interval '1 day'`, [days])
  await age('stage_cache', 'used_at')
  await age('kernel_times', 'written_at')
  await age('hosts', 'heartbeat_at')
  await age('deployment_replicas', 'seen_at')
  await age('blobs', 'touched_at')
  const remains = async () => ({
    stage: (await storage.stageCache.find(project, key)) !== undefined,
    kernel: 'kernel' in (await storage.kernelTimes.find(key, ['kernel'])),
    orphan: (await storage.artifacts.stat(orphan.sha256)) !== undefined,
    host: (await storage.hosts.find(project, host)) !== undefined,
    replica:
      (await runSql(connectionString, 'SELECT 1 FROM deployment_replicas WHERE deployment_id = $1', [deploymentId]))
        .length === 1,
  })
  return { remains }
}

async function runOnce(storage: Storage): Promise<void> {
  const loop = startUpkeep({ storage, metrics: createMetrics(), logger: testLogger, intervalMs: 3_600_000 })
  await loop.stop()
}

test('what nobody has used for long goes, and so do artifacts that nothing refers to', async () => {
  const { remains } = await leaveBehind(100)
  await runOnce(context.storage)
  expect(await remains()).toEqual({ stage: false, kernel: false, orphan: false, host: false, replica: false })
})

test('what is young stays', async () => {
  const { remains } = await leaveBehind(0)
  await runOnce(context.storage)
  expect(await remains()).toEqual({ stage: true, kernel: true, orphan: true, host: true, replica: true })
})

test('a task that fails holds up no other', async () => {
  const { remains } = await leaveBehind(100)
  const prune = async () => Promise.reject(new Error('broken'))
  await runOnce({ ...context.storage, hosts: { ...context.storage.hosts, prune } })
  expect(await remains()).toEqual({ stage: false, kernel: false, orphan: false, host: true, replica: false })
})

test('nothing is done while another process does it', async () => {
  const { remains } = await leaveBehind(100)
  await context.storage.exclusively('upkeep', async () => runOnce(context.storage))
  expect(await remains()).toMatchObject({ host: true, replica: true })
})
