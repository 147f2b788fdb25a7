import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { Client, credentials, Metadata } from '@grpc/grpc-js'
import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import { createOrtRuntime } from '../../src/engine/runtime/ort/index.ts'
import { openTracing, type RunningTracing } from '../../src/roles/tracing.ts'
import { createOpenAuthorizer } from '../../src/serving/authorize.ts'
import * as wire from '../../src/serving/grpc/generated/inference_pb.js'
import { startGrpc } from '../../src/serving/grpc/server.ts'
import { buildModel } from '../support/models.ts'
import { catalogOf, listen, loadModel, silentLogger, type TestModel, type TestServer } from '../serving/support.ts'

interface ReceivedSpan {
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId?: string
  readonly name: string
  readonly kind: number
  readonly startTimeUnixNano: string
  readonly endTimeUnixNano: string
  readonly attributes: readonly { key: string; value: Record<string, unknown> }[]
  readonly status: { code?: number }
}

/** A collector of OTLP over HTTP, as JSON. */
interface Collector {
  readonly server: Server
  readonly url: string
  readonly spans: ReceivedSpan[]
  readonly resources: string[]
}

async function startCollector(): Promise<Collector> {
  const spans: ReceivedSpan[] = []
  const resources: string[] = []
  const server = createServer((request, response) => {
    void readJson(request).then((body) => {
      if (request.url !== '/v1/traces') return response.writeHead(404).end()
      for (const { resource, scopeSpans } of body.resourceSpans) {
        resources.push(JSON.stringify(resource))
        spans.push(...scopeSpans.flatMap((scope) => scope.spans))
      }
      return response.writeHead(200, { 'content-type': 'application/json' }).end('{}')
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, spans, resources }
}

interface Export {
  readonly resourceSpans: readonly {
    readonly resource: object
    readonly scopeSpans: readonly { readonly spans: readonly ReceivedSpan[] }[]
  }[]
}

async function readJson(request: IncomingMessage): Promise<Export> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  return JSON.parse(Buffer.concat(chunks).toString()) as Export
}

const runtime = createOrtRuntime()
let model: TestModel
let collector: Collector
let tracing: RunningTracing
let server: TestServer

beforeAll(async () => {
  const bytes = buildModel({
    inputs: { x: ['float32', ['N']] },
    outputs: { y: ['float32', ['N']] },
    nodes: [['Neg', ['x'], ['y']]],
  })
  model = await loadModel(runtime, 'negated', bytes)
})
afterAll(async () => {
  await model.session.release()
  await runtime.close()
})
beforeEach(async () => {
  collector = await startCollector()
})
afterEach(async () => {
  await server.app.close()
  collector.server.close()
})

async function start(share: number): Promise<void> {
  const given = { share, version: '1.2.3', serverId: 'srv_test', logger: silentLogger() }
  tracing = openTracing({ endpoint: `${collector.url}/`, ...given })
  server = await listen(catalogOf([model]), { tracing })
}

const infer = (data: readonly unknown[], headers: Record<string, string> = {}) =>
  fetch(`${server.url}/v2/models/negated/infer`, {
    method: 'POST',
    headers,
    body: JSON.stringify({ inputs: [{ name: 'x', shape: [data.length], datatype: 'FP32', data }] }),
  })

const attributesOf = ({ attributes }: ReceivedSpan) =>
  Object.fromEntries(attributes.map(({ key, value }) => [key, Object.values(value)[0]]))

const traceId = '0af7651916cd43dd8448eb211c80319c'
const callerSpan = 'b7ad6b7169203331'

describe('traces of predictions', () => {
  test.each([
    ['small', 3],
    ['large', 30_000],
  ])('have a span of a %s request under the caller, and one of each part under that', async (_size, count) => {
    await start(0)
    const response = await infer(Array<number>(count).fill(1), { traceparent: `00-${traceId}-${callerSpan}-01` })
    expect(response.status).toBe(200)
    await response.arrayBuffer()
    await server.app.close()
    await tracing.close()
    const root = collector.spans.find(({ parentSpanId }) => parentSpanId === callerSpan)
    expect(root).toMatchObject({ traceId, name: 'POST /v2/models/:name/infer', kind: 2 })
    expect(attributesOf(root!)).toMatchObject({ 'http.response.status_code': 200, 'http.request.method': 'POST' })
    expect(response.headers.get('traceparent')).toBe(`00-${traceId}-${root!.spanId}-01`)
    const parts = collector.spans.filter(({ parentSpanId }) => parentSpanId === root!.spanId)
    expect(parts.map(({ name }) => name)).toEqual(['decode', 'queue', 'run', 'encode'])
    expect(attributesOf(parts[2]!)).toEqual({
      'model.name': 'negated',
      'model.version': '1',
      'model.batch_size': 1,
      'model.rows': 1,
    })
    for (const { startTimeUnixNano, endTimeUnixNano } of parts) {
      expect(BigInt(startTimeUnixNano)).toBeGreaterThanOrEqual(BigInt(root!.startTimeUnixNano))
      expect(BigInt(endTimeUnixNano)).toBeLessThanOrEqual(BigInt(root!.endTimeUnixNano))
    }
    expect(collector.resources[0]).toContain('hasten-serve')
    expect(collector.resources[0]).toContain('srv_test')
  })

  test('tell what went wrong', async () => {
    await start(1)
    const response = await infer(['x'])
    expect(response.status).toBe(400)
    await response.arrayBuffer()
    await server.app.close()
    await tracing.close()
    expect(collector.spans).toHaveLength(1)
    expect(attributesOf(collector.spans[0]!)).toMatchObject({
      'error.type': 'input_data',
      'http.response.status_code': 400,
    })
    // The client's fault is none of the server's.
    expect(collector.spans[0]!.status.code ?? 0).toBe(0)
  })

  test.each([
    [0, 0],
    [1, 5],
  ])('of a share of %d are %d spans, whatever a malformed header says', async (share, count) => {
    await start(share)
    await (await infer([1], { traceparent: `00-${'0'.repeat(32)}-${callerSpan}-01` })).arrayBuffer()
    await server.app.close()
    await tracing.close()
    expect(collector.spans).toHaveLength(count)
  })

  test('a collector that is away holds nobody up', async () => {
    await start(1)
    collector.server.close()
    await once(collector.server, 'close')
    expect((await infer([1])).status).toBe(200)
    await tracing.close()
  })

  test('cover gRPC too', async () => {
    await start(1)
    const deps = {
      catalog: catalogOf([model]),
      authorize: createOpenAuthorizer(),
      logger: silentLogger(),
      version: '0',
    }
    const grpc = await startGrpc({ ...deps, tracing }, { host: '127.0.0.1', port: 0 })
    const client = new Client(`127.0.0.1:${grpc.port}`, credentials.createInsecure())
    const inputs = [{ name: 'x', datatype: 'FP32', shape: [2n] }]
    const rawInputContents = [new Uint8Array(Float32Array.of(1, 2).buffer)]
    const request = create(wire.ModelInferRequestSchema, { modelName: 'negated', inputs, rawInputContents })
    const metadata = new Metadata()
    metadata.set('traceparent', `00-${traceId}-${callerSpan}-01`)
    await new Promise<void>((resolve, reject) => {
      client.makeUnaryRequest(
        '/inference.GRPCInferenceService/ModelInfer',
        () => Buffer.from(toBinary(wire.ModelInferRequestSchema, request)),
        (bytes) => fromBinary(wire.ModelInferResponseSchema, bytes),
        null,
        metadata,
        (error) => (error === null ? resolve() : reject(error)),
      )
    })
    client.close()
    await grpc.close({ timeoutMs: 1000 })
    await tracing.close()
    const root = collector.spans.find(({ parentSpanId }) => parentSpanId === callerSpan)
    expect(root).toMatchObject({ traceId, name: 'inference.GRPCInferenceService/ModelInfer' })
    expect(collector.spans.map(({ name }) => name)).toContain('run')
  })
})
