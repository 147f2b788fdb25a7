import { createHash } from 'node:crypto'
import type { FastifyInstance, InjectOptions } from 'fastify'
import { afterAll, beforeAll, expect } from 'vitest'
import { buildApi } from '../../src/api/app.ts'
import type { ApiDeps } from '../../src/api/deps.ts'
import { commonErrors, scopes, type Scope } from '../../src/api/route.ts'
import { HastenError, type ErrorCode } from '../../src/errors.ts'
import type { QueueClient } from '../../src/jobs/client.ts'
import type { Inspect, StoredFile } from '../../src/jobs/inspect/contract.ts'
import { openStorage, type Storage } from '../../src/storage/index.ts'
import { createLogger, createMetrics } from '../../src/telemetry.ts'
import { createTestDatabase } from '../support/postgres.ts'

export interface Harness {
  readonly app: FastifyInstance
  readonly deps: ApiDeps
  readonly storage: Storage
  /** Job ids in the order they were announced. */
  readonly announced: string[]
  readonly setQueueFailure: (error: Error | undefined) => void
  /** Address of the listening app; sockets matter for uploads and streams. */
  readonly url: string
  /** A key's Authorization header. */
  auth(options?: { project?: string; scopes?: readonly Scope[] }): Promise<{ authorization: string }>
  /** A request with an all-scopes key of project default, unless headers say otherwise. */
  call(request: InjectOptions & { url: string }): Promise<Answer>
}

interface Answer {
  readonly status: number
  readonly headers: Record<string, unknown>
  readonly text: string
  // oxlint-disable-next-line typescript/no-explicit-any
  readonly body: any
}

/** The API over a database of its own, listening on loopback, for one test file. */
export function useApi(change: (connectionString: string) => Partial<ApiDeps> = () => ({})): Harness {
  const harness = { announced: [] as string[] } as unknown as { -readonly [K in keyof Harness]: Harness[K] }
  let close: () => Promise<void>
  beforeAll(async () => {
    const database = await createTestDatabase()
    const storage = await openStorage({ connectionString: database.connectionString })
    let failure: Error | undefined
    const queue: QueueClient = {
      enqueue: async (jobId) => {
        if (failure !== undefined) throw failure
        harness.announced.push(jobId)
      },
      depths: async () => {
        if (failure !== undefined) throw failure
        return [{ deviceClass: 'cpu', depth: 2, active: 1, oldestWaitMs: 40 }]
      },
      close: async () => undefined,
    }
    const deps: ApiDeps = {
      storage,
      queue,
      inspect: createPlainInspect(storage),
      auth: 'keys',
      limits: { uploadBytes: 4 * 2 ** 20, maxEventLoopDelayMs: 0, jobAttempts: 5 },
      logger: createLogger({ level: 'silent', role: 'test' }),
      metrics: createMetrics(),
      version: '0.0.0-test',
      ...change(database.connectionString),
    }
    const app = buildApi(deps)
    refuseUndeclaredErrors(app)
    const url = await app.listen({ host: '127.0.0.1', port: 0 })
    const all = await makeKey(storage, 'default', scopes)
    Object.assign(harness, {
      app,
      deps,
      storage,
      url,
      setQueueFailure: (error: Error | undefined) => void (failure = error),
      auth: async ({ project = 'default', scopes: own = scopes } = {}) => makeKey(storage, project, own),
      call: async (request: InjectOptions & { url: string }) => {
        const response = await app.inject({ ...request, headers: { ...all, ...request.headers } })
        return toAnswer(response)
      },
    })
    close = async () => {
      await app.close()
      await storage.close()
      await database.drop()
    }
  })
  afterAll(async () => close?.())
  return harness
}

async function makeKey(storage: Storage, project: string, own: readonly Scope[]) {
  const { secret } = await storage.keys.create({ project, name: 'test', scopes: own })
  return { authorization: `Bearer ${secret}` }
}

function toAnswer(response: { statusCode: number; headers: Record<string, unknown>; payload: string }): Answer {
  const type = response.headers['content-type']
  const body: unknown = typeof type === 'string' && type.includes('json') ? JSON.parse(response.payload) : undefined
  return { status: response.statusCode, headers: response.headers, text: response.payload, body }
}

/** Every problem an operation answers in any test must be one that its documentation names. */
function refuseUndeclaredErrors(app: FastifyInstance): void {
  app.addHook('onSend', async (request, reply, payload) => {
    if (typeof payload !== 'string' || !String(reply.getHeader('content-type')).includes('problem+json')) return payload
    const { code } = JSON.parse(payload) as { code: ErrorCode }
    const { errors, scope } = request.routeOptions.config
    if (scope === undefined) return payload
    const declared: readonly string[] = [...commonErrors, ...(errors ?? [])]
    expect(
      declared,
      `${request.method} ${request.routeOptions.url} answered ${code}, which it does not document`,
    ).toContain(code)
    return payload
  })
}

/** Stands in for the inspection child where a test is about the API: bytes that start like ONNX are a model. */
function createPlainInspect(storage: Storage): Inspect {
  const read = async ({ sha256 }: StoredFile) => {
    const chunks: Uint8Array[] = []
    for await (const chunk of storage.artifacts.read(sha256)) chunks.push(chunk)
    return Buffer.concat(chunks)
  }
  return {
    async model([file]) {
      const bytes = await read(file!)
      if (bytes[0] !== 8) throw new HastenError('model_invalid', 'The file does not start like ONNX.')
      return { facts: sampleFacts(bytes.length), findings: [{ check: 'shape', detail: 'fine' }] }
    },
    async graph() {
      return graphInspection(250)
    },
    async layers() {
      return { layers: [] }
    },
    async dataset(file, label) {
      const bytes = await read(file)
      if (bytes.length < 20) throw new HastenError('dataset_invalid', 'The file is truncated.')
      return { schema: { arrays: [{ name: 'x', dtype: 'float32', dims: [4, 2] }], labels: label ?? null }, samples: 4 }
    },
    async cascade() {
      throw new HastenError('deployment_not_ready', 'There is no server in this test.')
    },
    async captured() {
      throw new HastenError('dataset_invalid', 'no sample was captured')
    },
  }
}

/** A chain of operators, in pages of 100 as the inspection child gives them. */
function graphInspection(count: number) {
  const tensor = { name: 'v', dtype: 'float32', dims: ['n', 2] }
  const nodes = Array.from({ length: count }, (_, index) => ({
    index,
    name: `node_${index}`,
    op: 'Relu',
    graph: '',
    inputs: [{ ...tensor, constant: false }, null],
    outputs: [tensor],
    flops: 0,
    bytes_moved: null,
    parameters: 0,
    traits: ['elementwise'],
  }))
  const { name, dtype, dims } = tensor
  const edges = nodes.slice(1).map(({ index }) => ({ from: index - 1, to: index, input: 0, name, dtype, dims }))
  const pages = Array.from({ length: Math.ceil(count / 100) }, (_, page) => {
    const isHere = (index: number) => Math.floor(index / 100) === page
    return JSON.stringify({
      nodes: nodes.filter(({ index }) => isHere(index)),
      edges: edges.filter(({ to }) => isHere(to)),
    })
  })
  return { nodes: count, edges: count - 1, pages }
}

export function sampleFacts(size: number) {
  return {
    inputs: [{ name: 'x', dtype: 'float32', dims: ['batch', 2, null] }],
    outputs: [{ name: 'y', dtype: 'float32', dims: ['batch', 3] }],
    opset: { '': 17 },
    ir_version: 8,
    producer: 'test',
    parameters: 6,
    size_bytes: size,
    flops: null,
    ops: { MatMul: 1 },
  }
}

export const modelBytes = (size = 64) => Buffer.concat([Buffer.from([8, 8]), Buffer.alloc(size - 2, 1)])
export const npyBytes = Buffer.concat([Buffer.from('\u0093NUMPY', 'latin1'), Buffer.alloc(64)])

/** A multipart body by hand, so that tests decide every byte of it. */
export function formOf(parts: readonly { name: string; value: string | Buffer; filename?: string }[]) {
  const boundary = 'boundary42'
  const chunks = parts.flatMap(({ name, value, filename }) => [
    Buffer.from(`--${boundary}\r\ncontent-disposition: form-data; name="${name}"`),
    Buffer.from(
      filename === undefined
        ? '\r\n\r\n'
        : `; filename="${filename}"\r\ncontent-type: application/octet-stream\r\n\r\n`,
    ),
    Buffer.from(value),
    Buffer.from('\r\n'),
  ])
  return {
    payload: Buffer.concat([...chunks, Buffer.from(`--${boundary}--\r\n`)]),
    headers: { 'content-type': `multipart/form-data; boundary=${boundary}` },
  }
}

export const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

/** A model row without the upload. */
export async function storeModel(storage: Storage, { project = 'default', name = 'net', bytes = modelBytes() } = {}) {
  const blob = await storage.artifacts.write(streamOf(bytes), { maxBytes: bytes.length })
  return storage.models.create({
    project,
    name,
    files: [{ name: 'model.onnx', ...blob }],
    signature: sampleFacts(bytes.length),
  })
}

export async function storeDataset(storage: Storage, project = 'default', labels: string | null = null) {
  const blob = await storage.artifacts.write(streamOf(npyBytes), { maxBytes: 1000 })
  const schema = { arrays: [{ name: 'x', dtype: 'float32', dims: [4, 2] }], labels }
  return storage.datasets.create({
    project,
    name: 'samples',
    files: [{ name: 'data.npy', ...blob }],
    schema,
    samples: 4,
  })
}

export async function storeJob(storage: Storage, { project = 'default', modelId = '' } = {}) {
  const model = modelId === '' ? (await storeModel(storage, { project })).id : modelId
  return storage.jobs.create({
    project,
    modelId: model,
    recipe: {
      id: null,
      name: 'lossless',
      version: 1,
      body: { version: 1, steps: [{ pass: 'simplify', options: {} }] },
    },
    datasets: {},
    target: { device: 'cpu', threads: 1, batch: 1, host: null, labels: {} },
    gates: [],
    queue: 'cpu',
  })
}

export async function storeHost(storage: Storage, { id = '', queues = ['cpu'], labels = {}, project = '*' } = {}) {
  return storage.hosts.register({ id, project, name: 'host', inventory: { cores: 2 }, queues, slots: 1, labels })
}

async function* streamOf(bytes: Buffer) {
  for (let at = 0; at < bytes.length; at += 65_536) yield bytes.subarray(at, at + 65_536)
}
