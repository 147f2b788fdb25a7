import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { createOrtRuntime } from '../../../src/engine/runtime/ort/index.ts'
import { buildModel } from '../../support/models.ts'
import { catalogOf, listen, loadModel, type TestModel, type TestServer } from '../support.ts'

const idleConnections = 500
const runtime = createOrtRuntime()
let model: TestModel
let server: TestServer
let sockets: Socket[] = []

beforeAll(async () => {
  const bytes = buildModel({
    inputs: { x: ['float32', ['N']] },
    outputs: { y: ['float32', ['N']] },
    nodes: [['Neg', ['x'], ['y']]],
  })
  model = await loadModel(runtime, 'negated', bytes)
  server = await listen(catalogOf([model]))
})
afterEach(() => {
  for (const socket of sockets) socket.destroy()
  sockets = []
})
afterAll(async () => {
  await server.app.close()
  await model.session.release()
  await runtime.close()
})

async function open(): Promise<Socket> {
  const socket = connect({ port: server.port, host: '127.0.0.1', allowHalfOpen: true })
  socket.on('error', () => {})
  sockets.push(socket)
  await once(socket, 'connect')
  return socket
}

const body = JSON.stringify({ inputs: [{ name: 'x', shape: [2], datatype: 'FP32', data: [1, 2] }] })
const head = `POST /v2/models/negated/infer HTTP/1.1\r\nhost: a\r\ncontent-length: ${body.length}\r\n\r\n`

/** All that comes until the other side ends. */
async function readAll(socket: Socket): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of socket) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString()
}

const ask = async () => (await fetch(`${server.url}/v2/models/negated/infer`, { method: 'POST', body })).status

describe('clients that are slow or half gone', () => {
  test('one that ends its side after the request is taken for gone: its connection ends, answered or not', async () => {
    // A client that closes looks the same from here, and its queued work is to be dropped.
    for (let time = 0; time < 20; time++) {
      const socket = await open()
      socket.end(head + body)
      expect(await readAll(socket)).toMatch(/^$|^HTTP\/1\.1 200 /)
    }
    expect(await ask()).toBe(200)
  })

  test('one whose request comes byte by byte gets its answer', async () => {
    const socket = await open()
    const [answer] = [once(socket, 'data')]
    for (const byte of head + body) {
      socket.write(byte)
      await new Promise((resolve) => setImmediate(resolve))
    }
    expect(String((await answer)[0])).toMatch(/^HTTP\/1\.1 200 /)
  })

  test('one that ends in the middle of its body is let go, and runs nothing', async () => {
    const before = model.served.statistics.snapshot().success.count
    const socket = await open()
    socket.end(head + body.slice(0, 10))
    await readAll(socket)
    expect(model.served.statistics.snapshot().success.count).toBe(before)
    expect(await ask()).toBe(200)
  })

  test('many that say nothing, or stop in the middle of a head or a body, hold nobody up', async () => {
    const starts = ['', 'POST /v2/models/neg', head, head + body.slice(0, 20)]
    for (let index = 0; index < idleConnections; index++) (await open()).write(starts[index % starts.length] ?? '')
    // As many as run and wait at most.
    expect(await Promise.all(Array.from({ length: 12 }, ask))).toEqual(Array.from({ length: 12 }, () => 200))
    expect((await fetch(`${server.url}/livez`)).status).toBe(200)
  })
})
