import { once } from 'node:events'
import { status, type ClientDuplexStream } from '@grpc/grpc-js'
import { fromBinary } from '@bufbuild/protobuf'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { tensorOf } from '../../../src/engine/ir/tensor.ts'
import { createOrtRuntime } from '../../../src/engine/runtime/ort/index.ts'
import type { Runtime } from '../../../src/engine/serving.ts'
import { createKeyAuthorizer, createOpenAuthorizer, type Authorize } from '../../../src/serving/authorize.ts'
import {
  ModelInferRequestSchema,
  ModelStreamInferResponseSchema,
} from '../../../src/serving/grpc/generated/inference_pb.js'
import { startGrpc, type RunningGrpc } from '../../../src/serving/grpc/server.ts'
import { createLane } from '../../../src/serving/scheduler/lane.ts'
import { createRunSlots } from '../../../src/serving/scheduler/run-slots.ts'
import { buildModel } from '../../support/models.ts'
import { catalogOf, loadModel, silentLogger, type TestModel } from '../support.ts'
import { createClient, encode, metadataOf, statusOf } from './support.ts'

const affine = buildModel({
  inputs: { x: ['float32', ['N', 2]] },
  outputs: { y: ['float32', ['N', 2]] },
  initializers: { one: tensorOf('float32', [1], Float32Array.of(1)) },
  nodes: [['Add', ['x', 'one'], ['y']]],
})
const text = buildModel({
  inputs: { t: ['string', ['N']] },
  outputs: { u: ['string', ['N']] },
  nodes: [['Identity', ['t'], ['u']]],
})
const bytes = buildModel({
  inputs: { b: ['uint8', ['N']] },
  outputs: { c: ['uint8', ['N']] },
  nodes: [['Identity', ['b'], ['c']]],
})
const maxBodyBytes = 1 << 16

let runtime: Runtime
let models: TestModel[]
let server: RunningGrpc
let client: ReturnType<typeof createClient>

const start = (authorize: Authorize = createOpenAuthorizer(), stopping?: AbortSignal) =>
  startGrpc(
    {
      catalog: catalogOf(models),
      authorize,
      logger: silentLogger(),
      version: '1.2.3',
      limits: { maxBodyBytes },
      ...(stopping === undefined ? {} : { stopping }),
    },
    { host: '127.0.0.1', port: 0 },
  )

beforeAll(async () => {
  runtime = createOrtRuntime()
  models = [
    await loadModel(runtime, 'affine', affine),
    await loadModel(runtime, 'text', text),
    await loadModel(runtime, 'bytes', bytes),
  ]
  server = await start()
  client = createClient(server.port)
})
afterAll(async () => {
  client.client.close()
  await server.close({ timeoutMs: 1000 })
  for (const { session } of models) await session.release()
  await runtime.close()
})

const floats = (...values: number[]) => new Uint8Array(Float32Array.from(values).buffer)
const x = (shape: bigint[] = [1n, 2n]) => ({ name: 'x', datatype: 'FP32', shape })
const request = { modelName: 'affine', id: 'r-1', inputs: [x()], rawInputContents: [floats(1.5, -2)] }

describe('documents', () => {
  test('server', async () => {
    expect(await client.call('serverLive', {})).toMatchObject({ live: true })
    expect(await client.call('serverReady', {})).toMatchObject({ ready: true })
    const metadata = await client.call('serverMetadata', {})
    expect(metadata).toMatchObject({ name: 'hasten', version: '1.2.3' })
    expect(metadata.extensions).toContain('classification')
  })

  test('model', async () => {
    expect(await client.call('modelReady', { name: 'affine', version: '1' })).toMatchObject({ ready: true })
    expect(await client.call('modelReady', { name: 'nobody' })).toMatchObject({ ready: false })
    expect(await client.call('modelMetadata', { name: 'affine' })).toMatchObject({
      name: 'affine',
      versions: ['1'],
      platform: 'onnxruntime_onnx',
      inputs: [{ name: 'x', datatype: 'FP32', shape: [-1n, 2n] }],
    })
    const { config } = await client.call('modelConfig', { name: 'affine' })
    expect(config).toMatchObject({ name: 'affine', maxBatchSize: 0, input: [{ dataType: 11, dims: [-1n, 2n] }] })
    expect(config?.instanceGroup).toMatchObject([{ kind: 2, count: 2 }])
  })

  test('statistics are those of HTTP, and grow', async () => {
    const read = async () => (await client.call('modelStatistics', { name: 'affine' })).modelStats[0]?.inferenceStats
    const before = await read()
    await client.call('modelInfer', request)
    await statusOf(client.call('modelInfer', { ...request, inputs: [] }))
    const after = await read()
    expect(after?.success?.count).toBe(before!.success!.count + 1n)
    expect(after?.fail?.count).toBe(before!.fail!.count + 1n)
    expect((await client.call('modelStatistics', {})).modelStats.map(({ name }) => name)).toContain('text')
  })

  test('repository', async () => {
    const { models: lines } = await client.call('repositoryIndex', { ready: true })
    expect(lines[0]).toMatchObject({ name: 'affine', version: '1', state: 'READY' })
    expect(await client.call('repositoryModelUnload', { modelName: 'affine' })).toMatchObject({})
    expect(await client.call('repositoryModelLoad', { modelName: 'affine' })).toMatchObject({})
    const parameters = { config: { parameterChoice: { case: 'stringParam', value: '{}' } } } as const
    const refused = await statusOf(client.call('repositoryModelLoad', { modelName: 'affine', parameters }))
    expect(refused).toMatchObject({ code: status.UNIMPLEMENTED, details: expect.stringContaining('config') })
  })
})

describe('infer', () => {
  test('raw contents', async () => {
    const response = await client.call('modelInfer', request)
    expect(response).toMatchObject({ modelName: 'affine', modelVersion: '1', id: 'r-1' })
    expect(response.outputs).toMatchObject([{ name: 'y', datatype: 'FP32', shape: [1n, 2n] }])
    expect(Buffer.from(response.rawOutputContents[0]!)).toEqual(Buffer.from(floats(2.5, -1)))
  })

  test('typed contents', async () => {
    const contents = { fp32Contents: [1, 2, 3, 4] }
    const { rawOutputContents } = await client.call('modelInfer', {
      modelName: 'affine',
      inputs: [{ ...x([2n, 2n]), contents }],
    })
    expect(Buffer.from(rawOutputContents[0]!)).toEqual(Buffer.from(floats(2, 3, 4, 5)))
    const strings = [Buffer.from('a\0b'), new Uint8Array(0), Uint8Array.of(255)]
    const echoed = await client.call('modelInfer', {
      modelName: 'text',
      inputs: [{ name: 't', datatype: 'BYTES', shape: [3n], contents: { bytesContents: strings } }],
    })
    expect(Buffer.from(echoed.rawOutputContents[0]!).toString('hex')).toBe('030000006100620000000001000000ff')
    const narrow = await client.call('modelInfer', {
      modelName: 'bytes',
      inputs: [{ name: 'b', datatype: 'UINT8', shape: [2n], contents: { uintContents: [0, 255] } }],
    })
    expect([...narrow.rawOutputContents[0]!]).toEqual([0, 255])
  })

  test('classification and chosen outputs', async () => {
    const parameters = { classification: { parameterChoice: { case: 'int64Param' as const, value: 1n } } }
    const outputs = [{ name: 'y', parameters: parameters as never }]
    const response = await client.call('modelInfer', { ...request, outputs })
    expect(response.outputs).toMatchObject([{ datatype: 'BYTES', shape: [1n, 1n] }])
    expect(Buffer.from(response.rawOutputContents[0]!).subarray(4).toString()).toBe('2.5:0')
  })

  const wrong: [string, object, status, string][] = [
    ['an unknown model', { modelName: 'nobody' }, status.NOT_FOUND, 'not_found'],
    ['an input missing', { inputs: [], rawInputContents: [] }, status.INVALID_ARGUMENT, 'input_missing'],
    ['fewer raw contents than inputs', { inputs: [x(), x()] }, status.INVALID_ARGUMENT, 'invalid_request'],
    ['raw contents of another size', { rawInputContents: [floats(1)] }, status.INVALID_ARGUMENT, 'input_data'],
    ['a negative shape', { inputs: [x([-1n, 2n])] }, status.INVALID_ARGUMENT, 'input_shape'],
    ['a shape that overflows', { inputs: [x([1n << 62n, 2n])] }, status.INVALID_ARGUMENT, 'input_shape'],
    ['both kinds of contents', { inputs: [{ ...x(), contents: {} }] }, status.INVALID_ARGUMENT, 'input_data'],
    [
      'contents of another type',
      { inputs: [{ ...x(), contents: { fp64Contents: [1, 2] } }], rawInputContents: [] },
      status.INVALID_ARGUMENT,
      'input_data',
    ],
    [
      'half precision in typed contents',
      { inputs: [{ ...x(), datatype: 'FP16', contents: { fp32Contents: [1, 2] } }], rawInputContents: [] },
      status.INVALID_ARGUMENT,
      'input_data',
    ],
    [
      'an integer out of range',
      {
        modelName: 'bytes',
        inputs: [{ name: 'b', datatype: 'UINT8', shape: [1n], contents: { uintContents: [256] } }],
        rawInputContents: [],
      },
      status.INVALID_ARGUMENT,
      'input_data',
    ],
    ['an unknown output', { outputs: [{ name: 'q' }] }, status.INVALID_ARGUMENT, 'input_unknown'],
  ]
  test.each(wrong)('%s', async (_name, change, code, hastenCode) => {
    const failed = await statusOf(client.call('modelInfer', { ...request, ...change }))
    expect(failed.details).toMatch(/\w/)
    expect({ code: failed.code, hasten: failed.metadata.get('hasten-code') }).toEqual({ code, hasten: [hastenCode] })
  })

  test('bytes that are no message', async () => {
    const path = '/inference.GRPCInferenceService/ModelInfer'
    const failed = await statusOf(client.send(path, Buffer.from('ffffffff', 'hex')))
    expect(failed).toMatchObject({ code: status.INVALID_ARGUMENT })
    expect(failed.details).toContain('ModelInferRequest')
  })

  test('a message over the limit', async () => {
    const big = { ...request, inputs: [x([8192n, 2n])], rawInputContents: [new Uint8Array(maxBodyBytes)] }
    expect(await statusOf(client.call('modelInfer', big))).toMatchObject({ code: status.RESOURCE_EXHAUSTED })
  })

  test('a method that is not offered', async () => {
    const path = '/inference.GRPCInferenceService/TraceSetting'
    expect(await statusOf(client.send(path, Buffer.alloc(0)))).toMatchObject({ code: status.UNIMPLEMENTED })
  })
})

describe('keys', () => {
  test('authorization comes as metadata, and open methods need none', async () => {
    const authorize = createKeyAuthorizer({
      findKey: async (secret) =>
        secret.startsWith('hk_good') ? { project: 'default', scopes: ['predict'], expiresAt: null } : undefined,
    })
    const guarded = await start(authorize)
    const caller = createClient(guarded.port)
    try {
      expect(await caller.call('serverMetadata', {})).toMatchObject({ name: 'hasten' })
      expect(await statusOf(caller.call('modelInfer', request))).toMatchObject({ code: status.UNAUTHENTICATED })
      const bad = metadataOf({ authorization: `Bearer hk_bad${'x'.repeat(30)}` })
      expect(await statusOf(caller.call('repositoryIndex', {}, bad))).toMatchObject({ code: status.UNAUTHENTICATED })
      const good = metadataOf({ authorization: `Bearer hk_good${'x'.repeat(30)}` })
      expect(await caller.call('modelInfer', request, good)).toMatchObject({ id: 'r-1' })
      const stream = caller.stream()
      const [error] = await once(stream.resume(), 'error')
      expect(error).toMatchObject({ code: status.UNAUTHENTICATED })
    } finally {
      caller.client.close()
      await guarded.close({ timeoutMs: 1000 })
    }
  })
})

describe('stream', () => {
  const open = () => client.stream()
  const next = async (stream: ClientDuplexStream<Buffer, Buffer>) => {
    const [message] = await once(stream, 'data')
    return fromBinary(ModelStreamInferResponseSchema, message as Buffer)
  }

  test('answers each request while the stream is open, and goes on after an error', async () => {
    const stream = open()
    stream.write(encode(ModelInferRequestSchema, request))
    const first = await next(stream)
    expect(first).toMatchObject({ errorMessage: '', inferResponse: { id: 'r-1' } })
    expect(first.inferResponse?.parameters['triton_final_response']?.parameterChoice.value).toBe(true)
    stream.write(encode(ModelInferRequestSchema, { ...request, id: 'r-2', inputs: [] }))
    const second = await next(stream)
    expect(second.errorMessage).toContain('raw_input_contents')
    expect(second.inferResponse?.id).toBe('r-2')
    stream.end()
    const [ended] = await once(stream.resume(), 'status')
    expect(ended).toMatchObject({ code: status.OK })
  })

  test('keeps the order of many requests', async () => {
    const stream = open()
    const ids: string[] = []
    stream.on('data', (message: Buffer) => {
      ids.push(fromBinary(ModelStreamInferResponseSchema, message).inferResponse?.id ?? '')
    })
    const sent = Array.from({ length: 50 }, (_, index) => `r-${index}`)
    for (const id of sent) stream.write(encode(ModelInferRequestSchema, { ...request, id }))
    stream.end()
    await once(stream, 'end')
    expect(ids).toEqual(sent)
  })
})

describe('deadline, cancel and shutdown', () => {
  test('the timeout parameter, and the deadline of the call', async () => {
    const lane = models[0]!.served.lane
    const late = { timeout: { parameterChoice: { case: 'uint64Param' as const, value: 1n } } } as never
    // A microsecond is over before the request reaches the lane.
    const failed = await statusOf(client.call('modelInfer', { ...request, parameters: late }))
    expect(failed).toMatchObject({ code: status.DEADLINE_EXCEEDED })
    expect(failed.metadata.get('hasten-code')).toEqual(['run_deadline'])
    expect(lane.state()).toMatchObject({ queued: 0, inFlight: 0 })
    const past = statusOf(client.call('modelInfer', request, undefined, { deadline: Date.now() - 1 }))
    expect(await past).toMatchObject({ code: status.DEADLINE_EXCEEDED })
  })

  test('a call that the client cancels leaves the lane', async () => {
    const { session, served } = models[0]!
    // The only slot is taken, so the request waits for as long as this test needs.
    const slots = createRunSlots(1)
    slots.take()
    const lane = createLane({ session, slots, maxQueue: 4, maxInFlight: 1 })
    const waiting = { session, served: { ...served, lane } }
    const grpc = await startGrpc(
      { catalog: catalogOf([waiting]), authorize: createOpenAuthorizer(), logger: silentLogger(), version: '1' },
      { host: '127.0.0.1', port: 0 },
    )
    const caller = createClient(grpc.port)
    try {
      const stream = caller.stream()
      stream.on('error', () => {})
      stream.resume().write(encode(ModelInferRequestSchema, request))
      await vi.waitUntil(() => lane.state().queued === 1)
      stream.cancel()
      await vi.waitUntil(() => lane.state().queued === 0)
    } finally {
      caller.client.close()
      await grpc.close({ timeoutMs: 1000 })
    }
  })

  test('one that is about to stop is not ready, and still answers', async () => {
    const stopping = new AbortController()
    const grpc = await start(undefined, stopping.signal)
    const caller = createClient(grpc.port)
    stopping.abort()
    expect(await caller.call('serverReady', {})).toMatchObject({ ready: false })
    expect(await caller.call('modelInfer', request)).toMatchObject({ id: 'r-1' })
    caller.client.close()
    await grpc.close({ timeoutMs: 1000 })
  })

  test('an address that is taken is told plainly', async () => {
    const deps = { catalog: catalogOf(models), authorize: createOpenAuthorizer(), logger: silentLogger(), version: '1' }
    await expect(startGrpc(deps, { host: '127.0.0.1', port: server.port })).rejects.toThrow(/cannot listen on/)
  })
})
