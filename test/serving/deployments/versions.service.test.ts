import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ask, eventually, openBench, project, scale, untilReady, type Bench } from './support.ts'

let bench: Bench
let server: Awaited<ReturnType<Bench['serve']>>
beforeAll(async () => {
  bench = await openBench()
  server = await bench.serve()
})
afterAll(async () => bench.close())

const index = async (name: string) => {
  const response = await fetch(`${server.url}/v2/repository/index`, { method: 'POST' })
  const lines = (await response.json()) as { name: string; version: string; state: string; reason: string }[]
  return lines.filter((line) => line.name === name).map(({ version, state }) => `${version} ${state}`)
}
/** Version n answers n times its input. */
const deploy = async (name: string, versions: number, over: object = {}) => {
  for (let factor = 1; factor <= versions; factor++) {
    const { id: modelId } = await bench.store(name, scale(factor))
    if (factor === 1) await bench.storage.deployments.create({ project, name, modelId, ...over })
    else await bench.storage.deployments.addVersion(project, name, { modelId })
  }
  await untilReady(server.url, name, versions)
}
const read = async (path: string) => (await fetch(`${server.url}/v2/models/${path}`)).json() as Promise<object>

describe('a deployment of several versions', () => {
  test('has only the active one loaded by default', async () => {
    await deploy('plain', 2)
    await eventually(async () => ((await index('plain')).join() === '2 READY' ? true : undefined))
    expect(await ask(server.url, 'plain/versions/1')).toMatchObject({ status: 404, code: 'not_found' })
  })

  test('keeps those that its policy names, and each answers by its number', async () => {
    await deploy('policy', 3, { policy: { latest: 2 } })
    await untilReady(server.url, 'policy', 2)
    expect(await index('policy')).toEqual(['2 READY', '3 READY'])
    expect(await ask(server.url, 'policy/versions/2')).toMatchObject({ data: [2, 4], model_version: '2' })
    expect(await ask(server.url, 'policy')).toMatchObject({ data: [3, 6], model_version: '3' })
    expect(await read('policy')).toMatchObject({ versions: ['2', '3'] })
    const { model_stats: statistics } = (await read('policy/stats')) as { model_stats: { version: string }[] }
    expect(statistics.map(({ version }) => version)).toEqual(['2', '3'])
    expect(await read('policy/versions/2/stats')).toMatchObject({ model_stats: [{ version: '2', inference_count: 1 }] })
    await bench.storage.deployments.update(project, 'policy', { policy: { specific: [1] } })
    await untilReady(server.url, 'policy', 1)
    await eventually(async () => ((await index('policy')).toSorted().join() === '1 READY,3 READY' ? true : undefined))
    await bench.storage.deployments.update(project, 'policy', { policy: { all: true } })
    await eventually(async () => ((await index('policy')).length === 3 ? true : undefined))
    const row = await eventually(async () => {
      const found = await bench.storage.deployments.find(project, 'policy')
      return found?.versions.every(({ replicas }) => replicas[0]?.state === 'ready') ? found : undefined
    })
    expect(row.versions).toHaveLength(3)
  })

  test('loads the versions that its traffic names', async () => {
    await deploy('planned', 2)
    const split = [
      { version: 1, weight: 1 },
      { version: 2, weight: 0 },
    ]
    await bench.storage.deployments.update(project, 'planned', { traffic: { split } })
    await untilReady(server.url, 'planned', 1)
    expect(await ask(server.url, 'planned')).toMatchObject({ data: [1, 2], model_version: '1' })
    expect(await ask(server.url, 'planned/versions/2')).toMatchObject({ data: [2, 4] })
  })
})
