import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { tensorOf } from '../../../src/engine/ir/tensor.ts'
import { buildModel } from '../../support/models.ts'
import { runSql, withDatabase } from '../../support/postgres.ts'
import { eventually, openBench, project, untilReady, type Bench } from './support.ts'

/** Looks numbers up in a table of four: an index beyond it makes the run fail, as a client's mistake would. */
const table = buildModel({
  inputs: { i: ['int64', ['N']] },
  outputs: { y: ['float32', ['N']] },
  initializers: { t: tensorOf('float32', [4], Float32Array.of(10, 11, 12, 13)) },
  nodes: [['Gather', ['t', 'i'], ['y']]],
})

let bench: Bench
beforeAll(async () => {
  bench = await openBench()
})
afterAll(async () => bench.close())

const deploy = async (name: string) => {
  const { id } = await bench.store(name, table)
  return bench.storage.deployments.create({ project, name, modelId: id })
}
const look = async (url: string, name: string, index: number) => {
  const body = JSON.stringify({ inputs: [{ name: 'i', shape: [1], datatype: 'INT64', data: [index] }] })
  const response = await fetch(`${url}/v2/models/${name}/infer`, { method: 'POST', body })
  return {
    status: response.status,
    answer: (await response.json()) as { code?: string; outputs?: [{ data: number[] }] },
  }
}

describe('a serve process', () => {
  test('is ready only when the deployments it found at start have been loaded', async () => {
    await deploy('early')
    const { deployments, url } = await bench.serve()
    expect(deployments.catalog.unready()).toBe('the deployments are being loaded')
    await eventually(async () => ((await fetch(`${url}/readyz`)).ok ? true : undefined))
    expect((await fetch(`${url}/v2/models/early/ready`)).status).toBe(200)
    expect((await fetch(`${url}/startupz`)).status).toBe(200)
  })

  test('keeps serving without the database, and catches up when it is back', async () => {
    const { url, serverId } = await bench.serve()
    await deploy('steady')
    await untilReady(url, 'steady')
    const database = new URL(bench.connectionString).pathname.slice(1)
    const admin = withDatabase(bench.connectionString, 'postgres')
    await runSql(admin, `ALTER DATABASE ${database} ALLOW_CONNECTIONS false`)
    await runSql(admin, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${database}'`)
    await expect(bench.storage.deployments.listDesired()).rejects.toThrow()
    expect(await look(url, 'steady', 3)).toMatchObject({ status: 200, answer: { outputs: [{ data: [13] }] } })
    expect((await fetch(`${url}/readyz`)).status).toBe(200)
    await runSql(admin, `ALTER DATABASE ${database} ALLOW_CONNECTIONS true`)
    await eventually(() => deploy('after').catch(() => undefined))
    await untilReady(url, 'after')
    await eventually(async () => {
      const row = await bench.storage.deployments.find(project, 'steady')
      return row?.versions[0]!.replicas.some((replica) => replica.serverId === serverId) ? true : undefined
    })
  })

  test('withdraws its replicas when it stops, after what was running', async () => {
    const { deployments, serverId, url } = await bench.serve()
    await deploy('leaving')
    await untilReady(url, 'leaving')
    const reported = async () => {
      const row = await bench.storage.deployments.find(project, 'leaving')
      return row?.versions[0]!.replicas.some((replica) => replica.serverId === serverId) ?? false
    }
    await eventually(async () => ((await reported()) ? true : undefined))
    await deployments.stop({ timeoutMs: 5000 })
    expect(await reported()).toBe(false)
    expect((await fetch(`${url}/readyz`)).status).toBe(503)
    expect((await look(url, 'leaving', 0)).status).toBe(503)
  })
})

test('failing requests do not make a version unready: a probe tells the client from the model', async () => {
  const { url, deployments } = await bench.serve()
  await deploy('innocent')
  await untilReady(url, 'innocent')
  for (let n = 0; n < 6; n++) {
    expect(await look(url, 'innocent', 99)).toMatchObject({ status: 500, answer: { code: 'run_failed' } })
  }
  const { lane } = deployments.catalog.find(project, 'innocent')
  expect(lane.state().failuresInRow).toBe(6)
  expect((await fetch(`${url}/v2/models/innocent/ready`)).status).toBe(200)
  expect(await look(url, 'innocent', 1)).toMatchObject({ status: 200, answer: { outputs: [{ data: [11] }] } })
  expect(lane.state().failuresInRow).toBe(0)
})
