import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { HastenError } from '../../../src/errors.ts'
import { createMetrics } from '../../../src/telemetry.ts'
import type { ArtifactCache } from '../../../src/storage/index.ts'
import { ask, eventually, openBench, project, scale, untilReady, type Bench } from './support.ts'

let bench: Bench
beforeAll(async () => {
  bench = await openBench()
})
afterAll(async () => bench.close())

const deploy = async (name: string, factor: number, { padding = 0, options = {} } = {}) => {
  const { id: modelId, sizeBytes } = await bench.store(name, scale(factor, padding))
  await bench.storage.deployments.create({ project, name, modelId, options })
  return sizeBytes
}
const remove = (...names: string[]) => Promise.all(names.map((name) => bench.storage.deployments.remove(project, name)))
const lineOf = async (url: string, name: string) => {
  const response = await fetch(`${url}/v2/repository/index`, { method: 'POST' })
  const lines = (await response.json()) as { name: string; state: string; reason: string }[]
  return lines.find((line) => line.name === name)
}
const untilIdle = (url: string, name: string) =>
  eventually(async () => ((await lineOf(url, name))?.reason.startsWith('idle') ? true : undefined))

/** A cache whose disk is full after so many loads. */
function brokenAfter(loads: number, cache: ArtifactCache): ArtifactCache {
  let left = loads
  return {
    ...cache,
    async materialize(files, options) {
      if (left-- > 0) return cache.materialize(files, options)
      throw new HastenError('storage_full', 'The disk of the cache is full')
    },
  }
}

describe('a version that nobody asks for', () => {
  test('gives its memory back, and answers the next request', async () => {
    const server = await bench.serve()
    const size = await deploy('seldom', 2, { options: { idle_unload_ms: 100 } })
    await untilReady(server.url, 'seldom')
    await untilIdle(server.url, 'seldom')
    await eventually(async () => (server.deployments.loadedBytes() === 0 ? true : undefined))
    expect(await lineOf(server.url, 'seldom')).toMatchObject({ state: 'READY' })
    const row = await eventually(async () => {
      const found = await bench.storage.deployments.find(project, 'seldom')
      return found?.versions[0]!.replicas[0]?.state === 'idle' ? found : undefined
    })
    expect(row.state).toBe('ready')
    expect((await fetch(`${server.url}/v2/models/seldom/ready`)).status).toBe(200)

    const answers = await Promise.all(Array.from({ length: 5 }, () => ask(server.url, 'seldom')))
    expect(answers.map(({ data }) => data)).toEqual(Array.from({ length: 5 }, () => [2, 4]))
    expect(server.deployments.loadedBytes()).toBe(size)
    await untilIdle(server.url, 'seldom')
    // What was counted before is not forgotten.
    expect(server.deployments.catalog.find(project, 'seldom').statistics.snapshot().inferences).toBe(5)
    await remove('seldom')
    await eventually(async () => ((await ask(server.url, 'seldom')).status === 404 ? true : undefined))
  })

  test('that cannot be loaded again says why', async () => {
    const server = await bench.serve({ cache: brokenAfter(1, await bench.openCache()) })
    await deploy('lost', 2, { options: { idle_unload_ms: 0 } })
    await untilReady(server.url, 'lost')
    await untilIdle(server.url, 'lost')
    const answer = await ask(server.url, 'lost')
    expect(answer).toMatchObject({ status: 503, detail: expect.stringContaining('The disk of the cache is full') })
    await remove('lost')
  })
})

test('a request that waits for a cold version is answered, though another version replaces it meanwhile', async () => {
  const cache = await bench.openCache()
  const hold = Promise.withResolvers<void>()
  let held = ''
  const server = await bench.serve({
    cache: {
      ...cache,
      async materialize(files, options) {
        if (files[0]!.sha256 === held) await hold.promise
        return cache.materialize(files, options)
      },
    },
  })
  await deploy('overtaken', 7, { options: { idle_unload_ms: 0 } })
  await untilReady(server.url, 'overtaken')
  await untilIdle(server.url, 'overtaken')
  held = (await bench.store('overtaken', scale(7))).sha256
  const waiting = ask(server.url, 'overtaken')
  const { lane } = server.deployments.catalog.find(project, 'overtaken')
  await eventually(async () => (lane.state().queued === 1 ? true : undefined))
  const { id: modelId } = await bench.store('overtaken', scale(8))
  await bench.storage.deployments.addVersion(project, 'overtaken', { modelId })
  await untilReady(server.url, 'overtaken', 2)
  expect(await ask(server.url, 'overtaken')).toMatchObject({ data: [8, 16], model_version: '2' })
  hold.resolve()
  expect(await waiting).toMatchObject({ data: [7, 14], model_version: '1' })
  await remove('overtaken')
})

describe('a bound on memory', () => {
  const padding = 20_000
  test('lets the least recently used give way, and the next request brings it back', async () => {
    const names = ['first', 'second', 'third']
    let size = 0
    for (const name of names) size = await deploy(name, 2, { padding: padding + names.indexOf(name) })
    const maxBytes = Math.floor(size * 2.5)
    const metrics = createMetrics()
    const server = await bench.serve({ maxBytes, metrics })
    for (const name of names) await untilReady(server.url, name)
    expect(server.deployments.loadedBytes()).toBeLessThanOrEqual(maxBytes)
    await ask(server.url, 'second')
    await ask(server.url, 'third')
    await untilIdle(server.url, 'first')
    for (let round = 0; round < 4; round++) {
      for (const name of names) expect(await ask(server.url, name)).toMatchObject({ data: [2, 4] })
      expect(server.deployments.loadedBytes()).toBeLessThanOrEqual(maxBytes)
    }
    await untilIdle(server.url, 'first')
    const scraped = await metrics.metrics()
    expect(scraped).toContain(`hasten_model_bytes ${server.deployments.loadedBytes()}\n`)
    expect(scraped).toContain('hasten_model_versions{state="ready"} 2\n')
    expect(scraped).toContain('hasten_model_versions{state="idle"} 1\n')
    expect(Number(/hasten_model_loads_total\{outcome="loaded"\} (\d+)/.exec(scraped)?.[1])).toBeGreaterThan(9)
    await remove(...names)
  })

  test('refuses a model that is larger by itself', async () => {
    const server = await bench.serve({ maxBytes: 1000 })
    await deploy('huge', 2, { padding })
    const row = await eventually(async () => {
      const found = await bench.storage.deployments.find(project, 'huge')
      return found?.versions[0]!.replicas.find(({ serverId, error }) => serverId === server.serverId && error !== null)
    })
    expect(row.error).toMatchObject({
      code: 'model_out_of_memory',
      hint: expect.stringContaining('SERVE_MEMORY_BYTES'),
    })
    await remove('huge')
  })
})

test('versions of one file with the same options share its memory; with others they do not', async () => {
  const server = await bench.serve()
  const { id: modelId, sizeBytes } = await bench.store('shared', scale(2, 5000))
  const create = (name: string, options = {}) => bench.storage.deployments.create({ project, name, modelId, options })
  await create('shared-a')
  await create('shared-b', { max_queue: 3 })
  await untilReady(server.url, 'shared-a')
  await untilReady(server.url, 'shared-b')
  expect(server.deployments.loadedBytes()).toBe(sizeBytes)
  await create('shared-c', { session: { intraOpThreads: 2 } })
  await untilReady(server.url, 'shared-c')
  expect(server.deployments.loadedBytes()).toBe(2 * sizeBytes)
  await remove('shared-a', 'shared-c')
  await eventually(async () => (server.deployments.loadedBytes() === sizeBytes ? true : undefined))
  expect(await ask(server.url, 'shared-b')).toMatchObject({ data: [2, 4] })
})
