import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTraffic } from '../../../src/serving/traffic/start.ts'
import { newId } from '../../../src/storage/index.ts'
import { createMetrics } from '../../../src/telemetry.ts'
import { eventually, openBench, project, type Bench } from '../deployments/support.ts'
import { silentLogger } from '../support.ts'
import { scaled } from './versions.ts'

const sure = [9, 0, 0]
const unsure = [0.5, 0, 0]

let bench: Bench
beforeAll(async () => {
  bench = await openBench()
})
afterAll(async () => bench.close())

/** A deployment of versions that scale by these factors, and a serve process for it. */
async function serveVersions(name: string, factors: readonly number[], traffic: object) {
  const options = { batching: { max_batch: 8 } }
  const models = await Promise.all(factors.map(async (factor) => bench.store(name, scaled(factor))))
  const [first, ...others] = models.map(({ id }) => ({ modelId: id, options }))
  await bench.storage.deployments.create({ project, name, ...first! })
  for (const other of others) await bench.storage.deployments.addVersion(project, name, { ...other, activate: false })
  const row = (await bench.storage.deployments.update(project, name, { traffic }))!
  return { row, server: await startServer(name, factors.length) }
}

async function startServer(name: string, versions: number) {
  const metrics = createMetrics()
  const traffic = startTraffic({ storage: bench.storage, logger: silentLogger(), metrics, serverId: newId('srv') })
  const { url } = await bench.serve({ traffic: traffic.traffic })
  for (let version = 1; version <= versions; version++) {
    const ready = async () =>
      (await fetch(`${url}/v2/models/${name}/versions/${version}/ready`)).ok ? true : undefined
    await eventually(ready)
  }
  const ask = async (rows: readonly (readonly number[])[]) => {
    const input = { name: 'x', datatype: 'FP32', shape: [rows.length, 3], data: rows.flat() }
    const body = JSON.stringify({ inputs: [input], outputs: [{ name: 'scores' }] })
    const response = await fetch(`${url}/v2/models/${name}/infer`, { method: 'POST', body })
    const answer = (await response.json()) as { model_version: string; outputs: { data: number[] }[]; error?: string }
    const by = response.headers.get('hasten-answered-by')
    return { status: response.status, version: answer.model_version, by, data: answer.outputs?.[0]?.data }
  }
  return { url, ask, metrics, traffic }
}

describe('a cascade behind HTTP', () => {
  test('answers row by row, says who answered, and counts what went on', async () => {
    const cascade = { versions: [1, 2], output: 'scores', threshold: 0.9 }
    const { server } = await serveVersions('cascade', [1, -2], { cascade })
    expect(await server.ask([sure])).toEqual({ status: 200, version: '1', by: '1;rows=1', data: sure })
    expect(await server.ask([unsure])).toMatchObject({ status: 200, version: '2', by: '1;rows=0, 2;rows=1' })
    expect(await server.ask([sure, unsure, sure])).toMatchObject({
      by: '1;rows=2, 2;rows=1',
      data: [...sure, -1, -0, -0, ...sure],
    })
    const metrics = await server.metrics.metrics()
    expect(metrics).toContain('hasten_cascade_rows_total{model="cascade",answered_by="small"} 3')
    expect(metrics).toContain('hasten_cascade_rows_total{model="cascade",answered_by="large"} 2')
    const statistics = await (await fetch(`${server.url}/v2/models/cascade/versions/2/stats`)).json()
    expect(statistics).toMatchObject({
      model_stats: [{ execution_count: 2, inference_stats: { success: { count: 2 } } }],
    })
  })
})

describe('an ensemble behind HTTP', () => {
  test('answers by all its versions', async () => {
    const ensemble = { versions: [1, 2, 3], method: 'weighted', weights: [1, 1, 2] }
    const { server } = await serveVersions('ensemble', [1, -2, 4], { ensemble })
    expect(await server.ask([[4, 8, 12]])).toMatchObject({ status: 200, version: '1', data: [7, 14, 21] })
  })
})

describe('capture', () => {
  test('brings the samples of several replicas together, within its bound', async () => {
    const capture = { share: 1, max_samples: 6 }
    const { row, server } = await serveVersions('captured', [1], { capture })
    const other = await startServer('captured', 1)
    const count = async () => (await bench.storage.captured.forms(row.id))[0]?.samples ?? 0
    for (const [replica, values] of [
      [server, [1, 2]],
      [other, [3, 4]],
    ] as const) {
      for (const value of values) await replica.ask([[value, value, value]])
    }
    await eventually(async () => ((await count()) === 4 ? true : undefined))
    const arrays = [{ name: 'x', dtype: 'float32', dims: [3] }]
    const samples = await bench.storage.captured.read(row.id, arrays, { after: -1, limit: 10 })
    const values = samples.map(({ data }) => Buffer.from(data).readFloatLE(0))
    expect(values.toSorted((a, b) => a - b)).toEqual([1, 2, 3, 4])
    await Promise.all([server, other].map(async ({ ask }) => ask(Array.from({ length: 8 }, () => sure))))
    await eventually(async () => ((await count()) === 6 ? true : undefined))
    await Promise.all([server.traffic.stop(), other.traffic.stop()])
    expect(await count()).toBe(6)
  })
})
