import { connect, type AddressInfo } from 'node:net'
import { Writable } from 'node:stream'
import type { FastifyInstance } from 'fastify'
import { HastenError } from '../../src/errors.ts'
import { createOpenAuthorizer, type Authorize } from '../../src/serving/authorize.ts'
import type { Runtime, Session } from '../../src/engine/serving.ts'
import type { ServingLimits } from '../../src/serving/limits.ts'
import { buildServing } from '../../src/serving/protocol/app.ts'
import type { Batching } from '../../src/serving/scheduler/batch-plan.ts'
import { createLane } from '../../src/serving/scheduler/lane.ts'
import { createRunSlots } from '../../src/serving/scheduler/run-slots.ts'
import type { Catalog, ServedVersion } from '../../src/serving/served-version.ts'
import { createStatistics } from '../../src/serving/statistics.ts'
import { createLogger, createMetrics, type Tracing } from '../../src/telemetry.ts'

const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() })

export function silentLogger() {
  return createLogger({ level: 'info', role: 'serve', destination: nowhere })
}

export interface TestModel {
  readonly session: Session
  readonly served: ServedVersion
}

/** A model of project `default`, loaded and ready to be served. */
export async function loadModel(
  runtime: Runtime,
  name: string,
  bytes: Uint8Array,
  { maxQueue = 10, maxInFlight = 2, batching }: { maxQueue?: number; maxInFlight?: number; batching?: Batching } = {},
): Promise<TestModel> {
  const session = await runtime.createSession({ bytes })
  const lane = createLane({ session, slots: createRunSlots(2), maxQueue, maxInFlight, batching })
  const { inputs, outputs } = session
  const statistics = createStatistics()
  const identity = { name, version: '1', project: 'default' }
  return { session, served: { ...identity, inputs, outputs, instances: maxInFlight, batching, lane, statistics } }
}

/** A catalog of models that are always ready. */
export function catalogOf(models: readonly TestModel[]): Catalog {
  const all = models.map(({ served }) => served)
  return {
    find(project, name, version = '1') {
      const found = all.find((model) => model.name === name && model.version === version && model.project === project)
      if (found === undefined) throw new HastenError('not_found', `There is no model '${name}'.`)
      return found
    },
    checkReady: () => {},
    load: async () => {},
    unload: async () => {},
    loaded: (_project, name) => all.filter((model) => model.name === name),
    list: () => all,
    status: () => all.map(({ name, version }) => ({ name, version, state: 'READY', reason: '' })),
    all: () => all,
    unready: () => undefined,
    started: () => true,
  }
}

export interface TestServer {
  readonly app: FastifyInstance
  readonly url: string
  readonly port: number
}

export async function listen(
  catalog: Catalog,
  {
    limits = {},
    authorize = createOpenAuthorizer(),
    ...rest
  }: { limits?: Partial<ServingLimits>; authorize?: Authorize; stopping?: AbortSignal; tracing?: Tracing } = {},
): Promise<TestServer> {
  const app = buildServing({
    catalog,
    authorize,
    metrics: createMetrics(),
    logger: silentLogger(),
    version: '0.0.0',
    limits,
    ...rest,
  })
  await app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = app.server.address() as AddressInfo
  return { app, port, url: `http://127.0.0.1:${port}` }
}

export interface RawResponse {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer
}

/** Sends exactly these bytes over a socket and reads one response with a Content-Length. */
export function exchange(port: number, request: Uint8Array): Promise<RawResponse> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(request))
    let received = Buffer.alloc(0)
    socket.on('error', reject)
    socket.on('close', () => reject(new Error('the connection closed before the response was whole')))
    socket.on('data', (chunk) => {
      received = Buffer.concat([received, chunk])
      const response = parseResponse(received)
      if (response === undefined) return
      resolve(response)
      socket.destroy()
    })
  })
}

function parseResponse(received: Buffer): RawResponse | undefined {
  const end = received.indexOf('\r\n\r\n')
  if (end === -1) return undefined
  const [start = '', ...lines] = received.subarray(0, end).toString().split('\r\n')
  const headers = Object.fromEntries(
    lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 2)]),
  )
  const body = received.subarray(end + 4)
  if (body.length < Number(headers['content-length'])) return undefined
  return { status: Number(start.split(' ')[1]), headers, body }
}
