import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { childEntry } from '../../src/jobs/capped-child.ts'
import type { HostInventory } from '../../src/jobs/hosts/types.ts'
import { createJobMetrics } from '../../src/jobs/metrics.ts'
import type { QueueBackend } from '../../src/jobs/queue-backend.ts'
import type { WorkerDeps } from '../../src/jobs/worker.ts'
import { newId, type Storage } from '../../src/storage/index.ts'
import { createLogger, createMetrics } from '../../src/telemetry.ts'

/** Short enough for tests that wait for a lease to end, long enough for a busy machine to renew it. */
const leaseMs = 1_500
const graceMs = 300
/** Shared by all test processes that load these modules again and again. */
export const compileCache = join(tmpdir(), 'hasten-test-compile-cache')

export interface BackendUrls {
  readonly connectionString: string
  readonly redisUrl: string | undefined
}

/** Where a test's parts meet. */
export interface TestPlace extends BackendUrls {
  /** For the files of all its workers. */
  readonly dir: string
}

export const testInventory: HostInventory = {
  cpu: { model: 'test', architecture: 'x64', isa: [], cores: 1, affinity: [0] },
  memoryBytes: 2 ** 32,
  gpus: [],
  ort: { version: '1.30.0', providers: ['cpu'] },
  pinning: 'none',
  devices: ['cpu'],
  platform: 'test',
  node: process.version,
}

export const testLogger = createLogger({ level: process.env['TEST_LOG_LEVEL'] ?? 'silent', role: 'test' })

/** A worker's dependencies for tests: scripted children, short waits. */
export function workerDeps(storage: Storage, backend: QueueBackend, place: TestPlace): WorkerDeps {
  const hostId = newId('hst')
  return {
    storage,
    backend,
    hostId,
    hostName: 'test',
    inventory: testInventory,
    slots: 2,
    attempt: {
      entry: childEntry(import.meta.url, '../jobs/children/scripted'),
      memoryBytes: 400 * 2 ** 20,
      memoryPollMs: 25,
      leaseMs,
      graceMs,
      taskset: undefined,
      env: { NODE_COMPILE_CACHE: compileCache },
      slotsDir: join(place.dir, hostId),
      childSettings: { connectionString: place.connectionString },
    },
    retry: { maxAttempts: 3, backoffMs: 50, maxBackoffMs: 100 },
    heartbeatMs: 200,
    reconnectMs: 200,
    metrics: createJobMetrics(createMetrics()),
    logger: testLogger,
  }
}
