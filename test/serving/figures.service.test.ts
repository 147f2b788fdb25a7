import { afterAll, beforeAll, expect, test } from 'vitest'
import { startFigures } from '../../src/serving/figures.ts'
import type { ServingFigures } from '../../src/storage/index.ts'
import { ask, openBench, project, scale, untilReady, type Bench } from './deployments/support.ts'
import { silentLogger } from './support.ts'

let bench: Bench
beforeAll(async () => {
  bench = await openBench()
})
afterAll(async () => bench.close())

test('each server writes what it knows of a version, once something has come', async () => {
  const { storage } = bench
  const modelId = (await bench.store('told', scale(2))).id
  const { id } = await storage.deployments.create({ project, name: 'told', modelId })
  const servers = [await bench.serve(), await bench.serve()]
  const figures = servers.map(({ deployments: { catalog }, serverId }) =>
    startFigures({ catalog, deployments: storage.deployments, serverId, logger: silentLogger(), everyMs: 3_600_000 }),
  )
  for (const { url } of servers) await untilReady(url, 'told')
  for (let time = 0; time < 3; time++) await ask(servers[0]!.url, 'told')
  await ask(servers[0]!.url, 'told', { outputs: [{ name: 'none' }] })
  for (const each of figures) await each.stop()

  const rows = await storage.deployments.listFigures(id)
  expect(rows.map(({ serverId, version }) => [serverId, version])).toEqual([[servers[0]!.serverId, 1]])
  const told = rows[0]!.figures['serving'] as ServingFigures
  expect(told).toMatchObject({ requests: 4, rows: 3, executions: 3, queued: 0, inFlight: 0 })
  expect(told.failures).toMatchObject({ OTHER: 1, REJECTED: 0 })
  expect(told.recent).toMatchObject({ requests: 4, failed: 1, rows: 3 })
  expect(Object.values(told.recent.latency.infer).reduce((sum, count) => sum + count, 0)).toBe(3)
  expect(told.batches).toMatchObject({ 1: { runs: 3 } })
})
