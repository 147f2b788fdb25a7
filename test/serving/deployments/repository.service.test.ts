import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createKeyAuthorizer } from '../../../src/serving/authorize.ts'
import { listen } from '../support.ts'
import { ask, eventually, openBench, project, scale, untilReady, type Bench } from './support.ts'

let bench: Bench
let server: Awaited<ReturnType<Bench['serve']>>
beforeAll(async () => {
  bench = await openBench()
  server = await bench.serve()
})
afterAll(async () => bench.close())

const deploy = async (name: string, bytes = scale(2)) => {
  const { id: modelId } = await bench.store(name, bytes)
  await bench.storage.deployments.create({ project, name, modelId })
}
const post = async (path: string, body = '{}', url = server.url, headers: Record<string, string> = {}) => {
  const response = await fetch(`${url}/v2/repository/${path}`, { method: 'POST', body, headers })
  const text = await response.text()
  return { status: response.status, body: text === '' ? undefined : (JSON.parse(text) as object) }
}

describe('unload', () => {
  test('frees a model on every server and says so, until it is loaded again', async () => {
    const other = await bench.serve()
    await deploy('comes-and-goes')
    await untilReady(server.url, 'comes-and-goes')
    await untilReady(other.url, 'comes-and-goes')
    expect(await post('models/comes-and-goes/unload')).toEqual({ status: 200, body: undefined })
    expect(await ask(server.url, 'comes-and-goes')).toMatchObject({
      status: 404,
      detail: expect.stringContaining('is unloaded'),
    })
    expect((await fetch(`${server.url}/v2/models/comes-and-goes/ready`)).status).toBe(404)
    await eventually(async () => ((await ask(other.url, 'comes-and-goes')).status === 404 ? true : undefined))
    const line = { name: 'comes-and-goes', version: '1', state: 'UNAVAILABLE', reason: 'unloaded' }
    expect((await post('index')).body).toContainEqual(line)
    expect((await post('index', '{"ready":true}')).body).not.toContainEqual(
      expect.objectContaining({ name: line.name }),
    )
    const row = await bench.storage.deployments.find(project, 'comes-and-goes')
    expect(row).toMatchObject({ state: 'unloaded', loaded: false })

    expect((await post('models/comes-and-goes/load')).status).toBe(200)
    expect(await ask(server.url, 'comes-and-goes')).toMatchObject({ status: 200, data: [2, 4] })
    await untilReady(other.url, 'comes-and-goes')
  })

  test('lets the requests that run end', async () => {
    await deploy('busy')
    await untilReady(server.url, 'busy')
    const answers = Array.from({ length: 20 }, () => ask(server.url, 'busy'))
    await post('models/busy/unload')
    const statuses = (await Promise.all(answers)).map(({ status }) => status)
    expect(statuses.filter((status) => status !== 200 && status !== 404)).toEqual([])
  })
})

describe('load', () => {
  test('waits until the model answers, or says why it does not', async () => {
    await deploy('broken', scale(Number.NaN))
    expect(await post('models/broken/load')).toMatchObject({
      status: 503,
      body: {
        code: 'deployment_not_ready',
        detail: expect.stringContaining("'broken' failed to load: output 'y' is NaN"),
      },
    })
    await bench.storage.deployments.remove(project, 'broken')
  })

  test.each([
    ['models/none/load', '{}', 404],
    ['models/none/unload', '', 404],
    ['models/none/load', '{"parameters":{"config":"{}"}}', 501],
    ['models/none/load', '{"parameters":{"file:1/model.onnx":"AA=="}}', 501],
    ['models/none/load', '{"parameters":7}', 400],
    ['models/none/load', '{', 400],
  ])('%s with %j → %i', async (path, body, status) => {
    expect(await post(path, body)).toMatchObject({ status, body: { error: expect.any(String) } })
  })

  test('takes a key that may deploy', async () => {
    const findKey = async (secret: string) => {
      const scopes = secret.includes('deployer') ? ['predict', 'deployments:write'] : ['predict']
      return { project, scopes, expiresAt: null }
    }
    const keyed = await listen(server.deployments.catalog, { authorize: createKeyAuthorizer({ findKey }) })
    const as = (key: string) => ({ authorization: `Bearer hk_${key}_${'x'.repeat(20)}` })
    expect((await post('models/none/unload', '', keyed.url, as('asker'))).status).toBe(403)
    expect((await post('models/none/unload', '', keyed.url, as('deployer'))).status).toBe(404)
    await keyed.app.close()
  })
})
