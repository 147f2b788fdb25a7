import { readFileSync } from 'node:fs'
import path from 'node:path'
import { unzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { tensorOf } from '../../../src/engine/ir/tensor.ts'
import { createOrtRuntime } from '../../../src/engine/runtime/ort/index.ts'
import type { Runtime } from '../../../src/engine/serving.ts'
import { buildModel } from '../../support/models.ts'
import { catalogOf, exchange, listen, loadModel, type TestModel, type TestServer } from '../support.ts'

// The *.http fixtures are what tritonclient 2.x (Python, geventhttpclient) put on the wire, byte for byte.
const fixtures = path.join(import.meta.dirname, '../../fixtures/serving')
const recorded = (name: string) => readFileSync(path.join(fixtures, `tritonclient-${name}.http`))

// y = 2x + 1, and BYTES as they came.
const affine = buildModel({
  inputs: { x: ['float32', ['N', 2]] },
  outputs: { y: ['float32', ['N', 2]] },
  initializers: {
    two: tensorOf('float32', [1], Float32Array.of(2)),
    one: tensorOf('float32', [1], Float32Array.of(1)),
  },
  nodes: [
    ['Mul', ['x', 'two'], ['scaled']],
    ['Add', ['scaled', 'one'], ['y']],
  ],
})
const text = buildModel({
  inputs: { t: ['string', ['N']] },
  outputs: { u: ['string', ['N']] },
  nodes: [['Identity', ['t'], ['u']]],
})

let runtime: Runtime
let models: TestModel[]
let server: TestServer
beforeAll(async () => {
  runtime = createOrtRuntime()
  models = [await loadModel(runtime, 'affine', affine), await loadModel(runtime, 'text', text)]
  server = await listen(catalogOf(models))
})
afterAll(async () => {
  await server.app.close()
  for (const { session } of models) await session.release()
  await runtime.close()
})

const split = ({ headers, body: sent }: { headers: Readonly<Record<string, string>>; body: Buffer }) => {
  // Both are what zlib can tell apart by itself.
  const body = headers['content-encoding'] === undefined ? sent : unzipSync(sent)
  const length = Number(headers['inference-header-content-length'] ?? body.length)
  return { json: JSON.parse(body.subarray(0, length).toString()), tail: body.subarray(length) }
}
const answer = [4, -3]
const binaryAnswer = Buffer.from(Float32Array.from(answer).buffer)

describe('requests as tritonclient sends them', () => {
  test.each(['infer-default', 'infer-json-input', 'infer-gzip', 'infer-deflate'])('%s → binary', async (name) => {
    const response = await exchange(server.port, recorded(name))
    expect(response.status).toBe(200)
    expect(response.headers['content-type']).toBe('application/octet-stream')
    const { json, tail } = split(response)
    const output = { name: 'y', datatype: 'FP32', shape: [1, 2], parameters: { binary_data_size: 8 } }
    expect(json).toEqual({ model_name: 'affine', model_version: '1', outputs: [output] })
    expect(tail).toEqual(binaryAnswer)
  })

  test('infer-json-output: parameters of every kind, a version, an id', async () => {
    const response = await exchange(server.port, recorded('infer-json-output'))
    expect(response.headers).toMatchObject({ 'content-type': 'application/json' })
    expect(response.headers).not.toHaveProperty('inference-header-content-length')
    expect(split(response).json).toEqual({
      id: 'r-1',
      model_name: 'affine',
      model_version: '1',
      outputs: [{ name: 'y', datatype: 'FP32', shape: [1, 2], data: answer }],
    })
    expect(response.headers['server-timing']).toMatch(
      /^queue;dur=[\d.]+, batch;desc="1", input;dur=[\d.]+, infer;dur=[\d.]+, output;dur=[\d.]+$/,
    )
  })

  test('infer-bytes: NUL and bytes that are not UTF-8 come back', async () => {
    const { tail } = split(await exchange(server.port, recorded('infer-bytes')))
    expect(tail.toString('hex')).toBe('0300000061006201000000ff')
  })

  test('index, ready, load and unload', async () => {
    const index = await exchange(server.port, recorded('index'))
    expect(split(index).json).toEqual([
      { name: 'affine', version: '1', state: 'READY', reason: '' },
      { name: 'text', version: '1', state: 'READY', reason: '' },
    ])
    expect((await exchange(server.port, recorded('ready'))).status).toBe(200)
    for (const name of ['load', 'unload']) {
      const done = await exchange(server.port, recorded(name))
      expect([done.status, done.body.length]).toEqual([200, 0])
    }
  })
})

describe('replies in other forms', () => {
  const ask = (headers: Record<string, string>, outputs: object[] = [{ name: 'y' }]) =>
    fetch(`${server.url}/v2/models/affine/infer`, {
      method: 'POST',
      headers,
      body: JSON.stringify({ outputs, inputs: [{ name: 'x', shape: [1, 2], datatype: 'FP32', data: [1.5, -2] }] }),
    })

  test.each(['gzip', 'deflate'])('%s when that is all that is accepted', async (encoding) => {
    const response = await ask({ 'accept-encoding': encoding })
    expect(response.headers.get('content-encoding')).toBe(encoding)
    expect(await response.json()).toMatchObject({ outputs: [{ data: answer }] })
  })

  test('plain when an HTTP library lists what it can', async () => {
    const response = await ask({ 'accept-encoding': 'gzip, deflate' })
    expect(response.headers.has('content-encoding')).toBe(false)
    expect(await response.json()).toMatchObject({ outputs: [{ data: answer }] })
  })

  test('classification as JSON', async () => {
    const response = await ask({}, [{ name: 'y', parameters: { classification: 1 } }])
    expect(await response.json()).toMatchObject({ outputs: [{ datatype: 'BYTES', shape: [1, 1], data: ['4:0'] }] })
  })
})

describe('requests as its C++ client sends them', () => {
  const post = (url: string, headers: string[], body: Buffer) =>
    Buffer.concat([
      Buffer.from(
        [`POST ${url} HTTP/1.1`, 'Host: localhost', ...headers, `Content-Length: ${body.length}`, '', ''].join('\r\n'),
      ),
      body,
    ])

  test('an all-JSON body with Inference-Header-Content-Length and an empty id', async () => {
    const json = Buffer.from('{"id":"","inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","data":[1.5,-2.0]}]}')
    const headers = [`Inference-Header-Content-Length: ${json.length}`, 'Content-Type: application/json', 'Accept: */*']
    const response = await exchange(server.port, post('/v2/models/affine/infer', headers, json))
    expect(split(response).json).toMatchObject({ id: '', outputs: [{ data: answer }] })
    expect(split(response).json.outputs[0]).not.toHaveProperty('parameters')
  })

  test('octet-stream with binary data', async () => {
    const json = Buffer.from(
      '{"id":"","inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","parameters":{"binary_data_size":8}}],"outputs":[{"name":"y","parameters":{"binary_data":true}}]}',
    )
    const body = Buffer.concat([json, Buffer.from(Float32Array.of(1.5, -2).buffer)])
    const headers = [`Inference-Header-Content-Length: ${json.length}`, 'Content-Type: application/octet-stream']
    const response = await exchange(server.port, post('/v2/models/affine/infer', headers, body))
    expect(split(response).tail).toEqual(binaryAnswer)
  })

  test('the repository index as a form that holds JSON', async () => {
    const headers = ['Content-Type: application/x-www-form-urlencoded']
    const response = await exchange(server.port, post('/v2/repository/index', headers, Buffer.from('{"ready":true}')))
    expect(response.status).toBe(200)
    expect(split(response).json).toHaveLength(2)
  })

  test('a raw body', async () => {
    const body = Buffer.from(Float32Array.of(1.5, -2, 0, 1).buffer)
    const response = await exchange(
      server.port,
      post('/v2/models/affine/infer', ['Inference-Header-Content-Length: 0'], body),
    )
    expect(split(response).json.outputs).toEqual([
      { name: 'y', datatype: 'FP32', shape: [2, 2], parameters: { binary_data_size: 16 } },
    ])
    expect(split(response).tail).toEqual(Buffer.from(Float32Array.of(4, -3, 1, 3).buffer))
  })
})
