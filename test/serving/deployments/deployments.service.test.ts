import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { tensorOf } from '../../../src/engine/ir/tensor.ts'
import { buildModel, ocrModels } from '../../support/models.ts'
import { ask, eventually, openBench, project, scale, untilReady, type Bench } from './support.ts'

/** Each row less the sum of all, so that an answer depends on the others of its batch. */
const total = buildModel({
  inputs: { x: ['float32', ['N', 2]] },
  outputs: { y: ['float32', ['N', 2]] },
  initializers: { axes: tensorOf('int64', [1], BigInt64Array.of(0n)) },
  nodes: [
    ['ReduceSum', ['x', 'axes'], ['t']],
    ['Sub', ['x', 't'], ['y']],
  ],
})

/** Runs for a tenth of a second and more, also on a fast machine: a chain of products of large matrices. */
const slow = (() => {
  const side = 768
  const names = Array.from({ length: 16 }, (_, index) => `m${index}`)
  const w = tensorOf('float32', [side, side], new Float32Array(side * side))
  return buildModel({
    inputs: { x: ['float32', [side, side]] },
    outputs: { y: ['float32', [side, side]] },
    initializers: { w },
    nodes: [
      ...names.map((name, index): [string, string[], string[]] => ['MatMul', [names[index - 1] ?? 'x', 'w'], [name]]),
      ['Identity', [names.at(-1)!], ['y']],
    ],
  })
})()
const slowBody = new Uint8Array(768 * 768 * 4)

let bench: Bench
let server: Awaited<ReturnType<Bench['serve']>>
beforeAll(async () => {
  bench = await openBench()
  server = await bench.serve()
})
afterAll(async () => bench.close())

const raw = { 'inference-header-content-length': '0' }
const scaled = async (url: string, name: string, path = '') => ask(url, `${name}${path}`)
const deploy = async (name: string, bytes: Uint8Array, options: object = {}) => {
  const { id } = await bench.store(name, bytes)
  return bench.storage.deployments.create({ project, name, modelId: id, options })
}

describe('a deployment', () => {
  test('of PP-OCR cls answers what the runtime answers, bit for bit, in binary and in JSON', async () => {
    const bytes = readFileSync(ocrModels.cls)
    await deploy('cls', bytes)
    await untilReady(server.url, 'cls')
    const shape = [1, 3, 16, 32]
    const x = Float32Array.from({ length: 3 * 16 * 32 }, (_, index) => Math.sin(index))
    const session = await bench.runtime.createSession({ bytes }, { session: { intraOpThreads: 1, spinning: false } })
    const direct = Object.values(await session.run({ x: tensorOf('float32', shape, x) }))[0]!
    await session.release()
    const expected = direct.dtype === 'string' ? Buffer.alloc(0) : Buffer.from(direct.bytes)

    const json = JSON.stringify({
      inputs: [{ name: 'x', shape, datatype: 'FP32', parameters: { binary_data_size: x.byteLength } }],
      parameters: { binary_data_output: true },
    })
    const binary = await fetch(`${server.url}/v2/models/cls/infer`, {
      method: 'POST',
      headers: { 'inference-header-content-length': String(json.length) },
      body: Buffer.concat([Buffer.from(json), Buffer.from(x.buffer)]),
    })
    const body = Buffer.from(await binary.arrayBuffer())
    expect(body.subarray(Number(binary.headers.get('inference-header-content-length'))).equals(expected)).toBe(true)

    const inputs = [{ name: 'x', shape, datatype: 'FP32', data: [...x] }]
    const text = await fetch(`${server.url}/v2/models/cls/versions/1/infer`, {
      method: 'POST',
      body: JSON.stringify({ inputs }),
    })
    const { outputs } = (await text.json()) as { outputs: [{ data: number[] }] }
    expect(Buffer.from(Float32Array.from(outputs[0].data).buffer).equals(expected)).toBe(true)
  })

  test('is loading, then ready, in its row as over HTTP, and is gone when deleted', async () => {
    expect((await scaled(server.url, 'double')).status).toBe(404)
    await deploy('double', scale(2))
    const row = await eventually(async () => {
      const found = await bench.storage.deployments.find(project, 'double')
      return found?.state === 'ready' ? found : undefined
    })
    expect(row.versions[0]!.replicas).toMatchObject([{ serverId: server.serverId, state: 'ready', error: null }])
    expect(await scaled(server.url, 'double')).toMatchObject({ status: 200, data: [2, 4] })
    expect((await scaled(server.url, 'double', '/versions/2')).status).toBe(404)
    await bench.storage.deployments.remove(project, 'double')
    await eventually(async () => ((await scaled(server.url, 'double')).status === 404 ? true : undefined))
  })

  const failures: [string, () => Uint8Array, object, string, RegExp][] = [
    ['is not ONNX', () => Buffer.from('no model'), {}, 'model_load_failed', /.+/],
    ['gives NaN', () => scale(Number.NaN), {}, 'model_run_failed', /output 'y' is NaN or infinite/],
    ['has wrong options', () => scale(5), { max_queue: -1 }, 'session_option_invalid', /max_queue/],
    ['cannot be batched', () => total, { batching: { max_batch: 4 } }, 'session_option_invalid', /batching: a row of/],
  ]
  test.each(failures)('of a model that %s fails and says why', async (name, bytes, options, code, detail) => {
    const deployment = name.replaceAll(' ', '-')
    const signature = {
      inputs: [{ name: 'x', dtype: 'float32', dims: ['N', 2] }],
      outputs: [{ name: 'y', dtype: 'float32', dims: ['N', 2] }],
    }
    const { id } = await bench.store(deployment, bytes(), { signature })
    await bench.storage.deployments.create({ project, name: deployment, modelId: id, options })
    const row = await eventually(async () => {
      const found = await bench.storage.deployments.find(project, deployment)
      return found?.state === 'failed' ? found : undefined
    })
    expect(row.error).toMatchObject({ code, detail: expect.stringMatching(detail), hint: expect.any(String) })
    const answer = await scaled(server.url, deployment)
    expect(answer).toMatchObject({ status: 503, code: 'deployment_not_ready', detail: expect.stringMatching(detail) })
    const index = await fetch(`${server.url}/v2/repository/index`, { method: 'POST' })
    expect(await index.json()).toContainEqual({
      name: deployment,
      version: '1',
      state: 'UNAVAILABLE',
      reason: expect.stringMatching(detail),
    })
    expect((await fetch(`${server.url}/readyz`)).status).toBe(200)
    await bench.storage.deployments.remove(project, deployment)
  })

  test('that is batched answers each request with its own rows, in fewer runs', async () => {
    // Long enough for all to come; the batch of eight is full then.
    const batching = { max_batch: 8, max_delay_ms: 60_000, buckets: [1, 8] }
    await deploy('batched', scale(3), { batching, max_in_flight: 1 })
    await untilReady(server.url, 'batched')
    expect((await scaled(server.url, 'batched')).data).toEqual([3, 6])
    const ask = async (value: number) => {
      const body = JSON.stringify({ inputs: [{ name: 'x', shape: [1, 2], datatype: 'FP32', data: [value, -value] }] })
      const response = await fetch(`${server.url}/v2/models/batched/infer`, { method: 'POST', body })
      const { outputs } = (await response.json()) as { outputs: [{ data: number[] }] }
      return [outputs[0].data, response.headers.get('server-timing')?.match(/batch;desc="\d+"/)?.[0]]
    }
    const values = [1, 2, 3, 4, 5, 6, 7, 8]
    const answers = await Promise.all(values.map(ask))
    expect(answers).toEqual(values.map((value) => [[3 * value, -3 * value], 'batch;desc="8"']))
    const { executions, inferences } = server.deployments.catalog.find(project, 'batched').statistics.snapshot()
    expect([executions, inferences]).toEqual([2, 9])
  })

  test('may be allowed to give NaN', async () => {
    await deploy('nan-allowed', scale(Number.NaN), { allow_non_finite: true })
    await untilReady(server.url, 'nan-allowed')
  })

  test('whose stored signature is not that of the file fails', async () => {
    const signature = { inputs: [{ name: 'q', dtype: 'int64', dims: [] }], outputs: [] }
    const { id } = await bench.store('liar', scale(3), { signature })
    await bench.storage.deployments.create({ project, name: 'liar', modelId: id })
    const row = await eventually(async () => {
      const found = await bench.storage.deployments.find(project, 'liar')
      return found?.state === 'failed' ? found : undefined
    })
    expect(row.error?.detail).toBe('the runtime reports inputs x: float32; stored are q: int64')
  })

  test('is seen by its own project only', async () => {
    await deploy('private', scale(2))
    await untilReady(server.url, 'private')
    const { catalog } = server.deployments
    expect(catalog.find(project, 'private').name).toBe('private')
    expect(() => catalog.find('other', 'private')).toThrow("There is no model 'private'.")
    expect(catalog.list('other')).toEqual([])
    expect(catalog.status('other')).toEqual([])
  })
})

describe('a new version', () => {
  test('takes over under load without a request being dropped, and the old one goes', async () => {
    await deploy('swap', scale(2))
    await untilReady(server.url, 'swap')
    const { id } = await bench.store('swap', scale(3))
    const seen: number[] = []
    const over = new AbortController()
    const clients = Array.from({ length: 4 }, async () => {
      while (!over.signal.aborted) {
        const { status, data } = await scaled(server.url, 'swap')
        seen.push(status === 200 ? (data?.[0] ?? -1) : status)
      }
    })
    await bench.storage.deployments.addVersion(project, 'swap', { modelId: id })
    await untilReady(server.url, 'swap', 2)
    await eventually(async () => (seen.includes(3) ? true : undefined))
    over.abort()
    await Promise.all(clients)
    expect(new Set(seen)).toEqual(new Set([2, 3]))
    expect(seen.indexOf(3)).toBeGreaterThan(0)
    // The version that was replaced is no longer reported.
    await eventually(async () => {
      const row = await bench.storage.deployments.find(project, 'swap')
      return row?.versions[0]!.replicas.length === 0 ? true : undefined
    })
  })

  test('that fails leaves the old one serving', async () => {
    await deploy('stays', scale(2))
    await untilReady(server.url, 'stays')
    const { id } = await bench.store('stays', scale(Number.POSITIVE_INFINITY))
    await bench.storage.deployments.addVersion(project, 'stays', { modelId: id })
    await eventually(async () => {
      const row = await bench.storage.deployments.find(project, 'stays')
      return row?.state === 'failed' ? true : undefined
    })
    expect(await scaled(server.url, 'stays')).toMatchObject({ status: 200, data: [2, 4] })
  })
})

describe('under pressure', () => {
  const inferSlow = () => fetch(`${server.url}/v2/models/slow/infer`, { method: 'POST', body: slowBody, headers: raw })

  beforeAll(async () => {
    await deploy('slow', slow, { max_queue: 1, max_in_flight: 1 })
    await untilReady(server.url, 'slow')
  })

  test('a full queue is answered 503 with Retry-After; what was accepted is answered', async () => {
    const responses = await Promise.all([1, 2, 3, 4, 5, 6].map(inferSlow))
    const statuses = responses.map(({ status }) => status)
    expect(statuses.filter((status) => status === 200).length).toBeGreaterThanOrEqual(2)
    const refused = responses.find(({ status }) => status === 503)!
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThanOrEqual(1)
    expect(await refused.json()).toMatchObject({ code: 'overloaded', error: expect.stringContaining('requests wait') })
    await Promise.all(responses.map((response) => response.arrayBuffer().catch(() => undefined)))
  })

  test('a client that disconnects takes its queued request along', async () => {
    const { lane, statistics } = server.deployments.catalog.find(project, 'slow')
    await eventually(async () => (lane.state().inFlight === 0 ? true : undefined))
    const before = statistics.snapshot()
    const running = inferSlow()
    await eventually(async () => (lane.state().inFlight === 1 ? true : undefined))
    const socket = connect(server.port, '127.0.0.1')
    const head = `POST /v2/models/slow/infer HTTP/1.1\r\nHost: a\r\nInference-Header-Content-Length: 0\r\nContent-Length: ${slowBody.length}\r\n\r\n`
    socket.write(head)
    socket.write(slowBody)
    await eventually(async () => (lane.state().queued === 1 ? true : undefined))
    socket.destroy()
    await eventually(async () => (lane.state().queued === 0 ? true : undefined))
    expect((await running).status).toBe(200)
    await eventually(async () => (lane.state().inFlight === 0 ? true : undefined))
    const after = statistics.snapshot()
    expect(after.failures.CANCELED).toBe(before.failures.CANCELED + 1)
    expect(after.success.count).toBe(before.success.count + 1)
  })
})
