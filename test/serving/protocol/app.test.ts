import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect } from 'node:net'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createOrtRuntime } from '../../../src/engine/runtime/ort/index.ts'
import { createKeyAuthorizer } from '../../../src/serving/authorize.ts'
import type { Runtime } from '../../../src/engine/serving.ts'
import { buildModel } from '../../support/models.ts'
import { catalogOf, exchange, listen, loadModel, type TestModel, type TestServer } from '../support.ts'

const identity = buildModel({
  inputs: { x: ['uint8', ['N']] },
  outputs: { y: ['uint8', ['N']] },
  nodes: [['Identity', ['x'], ['y']]],
})

let runtime: Runtime
let model: TestModel
let server: TestServer
beforeAll(async () => {
  runtime = createOrtRuntime()
  model = await loadModel(runtime, 'identity', identity)
  server = await listen(catalogOf([model]), { limits: { maxBodyBytes: 1 << 20, maxJsonBytes: 4096 } })
})
afterAll(async () => {
  await server.app.close()
  await model.session.release()
  await runtime.close()
})

const infer = (
  body: string | Uint8Array<ArrayBuffer>,
  headers: Record<string, string> = {},
  path = '/v2/models/identity/infer',
) => fetch(`${server.url}${path}`, { method: 'POST', body, headers })
type Json = { [name: string]: Json } & Json[] & number
const jsonOf = async (response: Response) => (await response.json()) as Json
const raw = { 'inference-header-content-length': '0' }
const json = (data: number[]) =>
  JSON.stringify({ inputs: [{ name: 'x', shape: [data.length], datatype: 'UINT8', data }] })

describe('documents', () => {
  const get = (path: string) => fetch(server.url + path).then(jsonOf)

  test('server, model, configuration', async () => {
    expect(await get('/v2')).toMatchObject({ name: 'hasten', extensions: expect.arrayContaining(['statistics']) })
    const tensor = (name: string) => ({ name, datatype: 'UINT8', shape: [-1] })
    const metadata = {
      name: 'identity',
      versions: ['1'],
      platform: 'onnxruntime_onnx',
      inputs: [tensor('x')],
      outputs: [tensor('y')],
    }
    expect(await get('/v2/models/identity')).toEqual(metadata)
    expect(await get('/v2/models/identity/versions/1')).toEqual(metadata)
    expect(await get('/v2/models/identity/config')).toMatchObject({
      max_batch_size: 0,
      input: [{ name: 'x', data_type: 'TYPE_UINT8', dims: [-1] }],
    })
    expect(await get('/v2/logging')).toMatchObject({ log_info: true, log_verbose_level: 0 })
    expect(await get('/v2/models/identity/trace/setting')).toMatchObject({ trace_level: ['OFF'] })
  })

  test('statistics are whole numbers that only grow, and the metrics agree', async () => {
    const read = async () => (await get('/v2/models/identity/stats'))['model_stats']![0]!
    const count = (stats: Json, part: string) => stats['inference_stats']![part]!['count']!
    const before = await read()
    await infer(json([1, 2]))
    await infer('{', {})
    const after = await read()
    expect(count(after, 'success')).toBe(count(before, 'success') + 1)
    expect(count(after, 'fail')).toBe(count(before, 'fail') + 1)
    const numbers = JSON.stringify(after).match(/-?\d[\d.eE+-]*/g) ?? []
    expect(numbers.filter((number) => !/^\d+$/.test(number))).toEqual([])
    expect((await get('/v2/models/stats'))['model_stats']).toEqual([after])
    const metrics = await (await fetch(`${server.url}/metrics`)).text()
    const labels = '{model="identity",version="1"}'
    expect(metrics).toContain(`nv_inference_request_success${labels} ${count(after, 'success')}`)
    expect(metrics).toMatch(/nv_inference_request_failure\{model="identity",version="1",reason="OTHER"\} [1-9]/)
    expect(metrics).toContain(`nv_inference_pending_request_count${labels} 0`)
  })

  test('a server that will stop is not ready, but serves', async () => {
    const stopping = new AbortController()
    const other = await listen(catalogOf([model]), { stopping: stopping.signal })
    const statusOf = async (path: string) => (await fetch(other.url + path)).status
    expect(await statusOf('/readyz')).toBe(200)
    stopping.abort()
    expect(await Promise.all(['/readyz', '/v2/health/ready', '/livez', '/v2'].map(statusOf))).toEqual([
      503, 503, 200, 200,
    ])
    await other.app.close()
  })

  test('probes need no key', async () => {
    for (const path of ['/livez', '/readyz', '/startupz', '/v2/health/live', '/v2/health/ready']) {
      expect([path, (await fetch(server.url + path)).status]).toEqual([path, 200])
    }
  })
})

describe('bodies', () => {
  test('large outputs come whole, straight from the runtime', async () => {
    const data = randomBytes(1 << 20)
    const response = await infer(data, raw)
    const body = Buffer.from(await response.arrayBuffer())
    const length = Number(response.headers.get('inference-header-content-length'))
    expect(body.length).toBe(Number(response.headers.get('content-length')))
    expect(body.subarray(length).equals(data)).toBe(true)
  })

  test('over the limit are refused, whether announced, chunked or compressed', async () => {
    const announced = await exchange(
      server.port,
      Buffer.from('POST /v2/models/identity/infer HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n'),
    )
    expect([announced.status, announced.headers.connection]).toEqual([413, 'close'])
    // The terminating chunk never comes: the answer must not wait for it.
    const size = (1 << 20) + 1
    const chunked = await exchange(
      server.port,
      Buffer.concat([
        Buffer.from('POST /v2/models/identity/infer HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n'),
        Buffer.from(`${size.toString(16)}\r\n`),
        Buffer.alloc(size),
      ]),
    )
    expect([chunked.status, chunked.headers.connection]).toEqual([413, 'close'])
    const bomb = await infer(gzipSync(Buffer.alloc(64 << 20)), { ...raw, 'content-encoding': 'gzip' })
    expect(await bomb.json()).toMatchObject({ code: 'body_too_large', status: 413 })
  })

  test('chunked ones are read', async () => {
    async function* parts() {
      yield Buffer.from(json([7, 8]).slice(0, 10))
      yield Buffer.from(json([7, 8]).slice(10))
    }
    const response = await fetch(`${server.url}/v2/models/identity/infer`, {
      method: 'POST',
      body: ReadableStream.from(parts()),
      duplex: 'half',
    })
    expect(await response.json()).toMatchObject({ outputs: [{ data: [7, 8] }] })
  })

  test.each([
    ['not gzip', 'gzip', 400, 'invalid_request'],
    ['an unknown encoding', 'br', 415, 'unsupported_media_type'],
  ])('with %s', async (_name, encoding, status, code) => {
    const response = await infer(json([1]), { 'content-encoding': encoding })
    expect([response.status, (await jsonOf(response))['code']]).toEqual([status, code])
  })

  test.each(['-1', '1.5', 'x', '1e3'])('with Inference-Header-Content-Length %s', async (value) => {
    const response = await infer(json([1]), { 'inference-header-content-length': value })
    expect(await response.json()).toMatchObject({ status: 400, code: 'invalid_request' })
  })

  test('JSON tensors over the limit get a hint', async () => {
    const response = await infer(json(Array.from({ length: 4096 }, () => 1)))
    expect(response.status).toBe(413)
    expect(await response.json()).toMatchObject({
      code: 'tensor_too_large',
      hint: expect.stringContaining('binary_tensor_data'),
    })
  })

  test('none at all', async () => {
    expect((await infer('')).status).toBe(400)
  })
})

describe('errors', () => {
  test('are problem documents with an `error` string', async () => {
    const response = await infer(json([1]), { 'x-request-id': 'abc-1' }, '/v2/models/none/infer')
    expect(response.status).toBe(404)
    expect(response.headers.get('content-type')).toMatch(/^application\/problem\+json/)
    expect(await response.json()).toEqual({
      type: '/docs/errors#not_found',
      title: 'Not found',
      status: 404,
      detail: "There is no model 'none'.",
      instance: 'urn:request:abc-1',
      code: 'not_found',
      errors: [],
      hint: expect.any(String),
      error: "There is no model 'none'.",
    })
  })

  test.each([
    ['GET', '/v2/models/identity/infer', 405],
    ['DELETE', '/v2', 405],
    ['GET', '/v2/nothing', 404],
    ['GET', '/v2/models/identity/versions/2', 404],
    ['GET', '/v2/systemsharedmemory/status', 501],
    ['POST', '/v2/logging', 501],
    ['POST', '/v2/trace/setting', 501],
  ])('%s %s → %i', async (method, path, status) => {
    const response = await fetch(server.url + path, { method })
    expect(response.status).toBe(status)
    expect(await response.json()).toMatchObject({ status, error: expect.any(String) })
  })

  test('the longest name reaches the catalog', async () => {
    const response = await fetch(`${server.url}/v2/models/${'n'.repeat(128)}`)
    expect(await response.json()).toMatchObject({ detail: `There is no model '${'n'.repeat(128)}'.` })
  })

  test('a deadline that has passed', async () => {
    const late = JSON.stringify({ ...JSON.parse(json([1])), parameters: { timeout: 1 } })
    expect((await infer(late)).status).toBe(504)
    expect((await infer(json([1]), { 'request-timeout-ms': 'soon' })).status).toBe(400)
    expect((await infer(json([1]), { 'request-timeout-ms': '5000' })).status).toBe(200)
  })

  test('a client that leaves in the middle of its body leaves nothing behind', async () => {
    const socket = connect(server.port, '127.0.0.1')
    await once(socket, 'connect')
    socket.write('POST /v2/models/identity/infer HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nabc')
    socket.destroy()
    await once(socket, 'close')
    expect((await infer(json([5]))).status).toBe(200)
    expect(model.served.lane.state()).toMatchObject({ queued: 0, inFlight: 0 })
  })
})

describe('keys', () => {
  const keys = new Map([
    ['hk_predict_predict_predict', { project: 'default', scopes: ['predict'], expiresAt: null }],
    ['hk_reader_reader_reader_re', { project: 'default', scopes: ['models:read'], expiresAt: null }],
    ['hk_foreign_foreign_foreign', { project: 'other', scopes: ['admin'], expiresAt: null }],
    ['hk_expired_expired_expired', { project: 'default', scopes: ['predict'], expiresAt: new Date(0) }],
  ])

  test('decide who sees what, and are looked up once', async () => {
    const asked: string[] = []
    const findKey = async (secret: string) => {
      asked.push(secret)
      return keys.get(secret)
    }
    const guarded = await listen(catalogOf([model]), { authorize: createKeyAuthorizer({ findKey }) })
    const status = async (path: string, secret?: string) => {
      const headers: Record<string, string> = secret === undefined ? {} : { authorization: `Bearer ${secret}` }
      return (await fetch(guarded.url + path, { headers })).status
    }
    const [predict, reader, foreign, expired] = [...keys.keys()]
    expect(await status('/v2/models/identity', predict)).toBe(200)
    expect(await status('/v2/models/identity', predict)).toBe(200)
    expect(await status('/v2/models/identity', reader)).toBe(403)
    expect(await status('/v2/models/identity', foreign)).toBe(404)
    expect(await status('/v2/models/identity', expired)).toBe(401)
    expect(await status('/v2/models/identity', 'hk_unknown_unknown_unknown')).toBe(401)
    expect(await status('/v2/models/identity', 'hk_unknown_unknown_unknown')).toBe(401)
    expect(asked).toEqual([...keys.keys(), 'hk_unknown_unknown_unknown'])
    for (const path of ['/v2/models/stats', '/v2/models/identity/config', '/v2/models/identity/ready', '/v2/logging']) {
      expect([path, await status(path)]).toEqual([path, 401])
    }
    expect(await status('/v2/health/ready')).toBe(200)
    await guarded.app.close()
  })
})
