// The data plane as the serve role builds it, with one deployment that is already loaded: no database is asked.
import { availableParallelism } from 'node:os'
import { createOrtRuntime } from '../../src/engine/runtime/ort/index.ts'
import { openTracing } from '../../src/roles/tracing.ts'
import { createKeyAuthorizer } from '../../src/serving/authorize.ts'
import { proveBatching } from '../../src/serving/deployments/batching.ts'
import { createCatalog } from '../../src/serving/deployments/catalog.ts'
import { createEntry } from '../../src/serving/deployments/entry.ts'
import { createGate } from '../../src/serving/deployments/gate.ts'
import { resolveOptions } from '../../src/serving/deployments/options.ts'
import { createSlot } from '../../src/serving/deployments/slot.ts'
import { buildServing } from '../../src/serving/protocol/app.ts'
import { createLane } from '../../src/serving/scheduler/lane.ts'
import { createIdlePoll } from '../../src/serving/scheduler/idle-poll.ts'
import { createRunSlots } from '../../src/serving/scheduler/run-slots.ts'
import { createStatistics } from '../../src/serving/statistics.ts'
import { createTraffic } from '../../src/serving/traffic/route.ts'
import { createLogger, createMetrics } from '../../src/telemetry.ts'

/** The model's path, the version's options as JSON, and where traces go if anywhere. */
const [path = '', given = '{}', endpoint] = process.argv.slice(2)
const cores = availableParallelism()
const logger = createLogger({ level: 'info', role: 'serve' })
const runtime = createOrtRuntime({ runThreads: cores })
const options = resolveOptions({}, JSON.parse(given) as object, cores)
const session = await runtime.createSession({ path }, { session: options.session })
const { maxQueue, maxInFlight, batching } = options
const signal = new AbortController().signal
const observations = batching === undefined ? [] : await proveBatching(session, batching, signal)
const now = new Date()
const entry = createEntry({
  id: 'dep_bench',
  project: 'default',
  name: 'cls',
  state: 'ready',
  error: null,
  active: 1,
  loaded: true,
  policy: {},
  canary: null,
  traffic: {},
  metadata: {},
  versions: [],
  createdAt: now,
  updatedAt: now,
})
const { inputs, outputs } = session
const lane = createLane({
  session,
  slots: createRunSlots(cores, { spare: cores, poll: createIdlePoll(0.2) }),
  maxQueue,
  maxInFlight,
  batching,
  observations,
})
const gate = createGate({ maxQueue, load: async () => {} })
gate.open(lane)
const slot = createSlot({ version: 1, modelId: 'mdl_bench', jobId: null, options: {}, createdAt: now, replicas: [] })
slot.loaded = {
  inputs,
  outputs,
  options,
  lane,
  probe: async () => {},
  distrust: () => {},
  retire: async () => {},
}
slot.served = {
  name: 'cls',
  version: '1',
  project: 'default',
  inputs,
  outputs,
  instances: maxInFlight,
  batching,
  lane: gate.lane,
  statistics: createStatistics(),
}
entry.slots.set(1, slot)
const app = buildServing({
  catalog: createCatalog(
    new Map([['cls', entry]]),
    { first: [entry], stopping: false },
    { traffic: createTraffic({ wrappers: {} }), repository: { load: async () => {}, unload: async () => {} } },
  ),
  authorize: createKeyAuthorizer({
    findKey: async () => ({ project: 'default', scopes: ['predict'], expiresAt: null }),
  }),
  metrics: createMetrics(),
  logger,
  version: '0.0.0',
  tracing:
    endpoint === undefined
      ? undefined
      : openTracing({ endpoint, share: 1, version: '0.0.0', serverId: 'srv_bench', logger }),
})
await app.listen({ host: '127.0.0.1', port: 0 })
process.send?.({ url: app.listeningOrigin })
