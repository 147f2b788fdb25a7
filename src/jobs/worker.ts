import type { NewHost, Storage } from '../storage/index.ts'
import type { Logger } from '../telemetry.ts'
import type { AttemptSettings } from './attempt.ts'
import { openQueueClient } from './client.ts'
import { jobContracts } from './contracts.ts'
import type { RetryPolicy } from './define-job.ts'
import { startHeartbeat } from './hosts/heartbeat.ts'
import type { HostInventory } from './hosts/types.ts'
import type { JobMetrics } from './metrics.ts'
import type { ConsumerHandle, QueueBackend } from './queue-backend.ts'
import { hostQueue, type DeviceClass } from './queues.ts'
import { createDelivery, type RegistrarDeps } from './registrar.ts'
import { createSlotPool, planSlots, type Slot } from './slots.ts'

export interface WorkerDeps {
  readonly storage: Pick<Storage, 'jobs' | 'events' | 'hosts' | 'listen'>
  readonly backend: QueueBackend
  readonly hostId: string
  readonly hostName: string
  readonly labels?: Readonly<Record<string, string>>
  readonly inventory: HostInventory
  /** Device classes to serve; those of the inventory when absent. */
  readonly devices?: readonly DeviceClass[]
  /** Jobs at once. */
  readonly slots: number
  readonly attempt: AttemptSettings
  readonly retry?: RetryPolicy
  readonly heartbeatMs?: number
  /** Wait before asking the queue again after a connection error. */
  readonly reconnectMs?: number
  readonly metrics: JobMetrics
  readonly logger: Logger
}

export interface Worker {
  /** Takes no more jobs; resolves when those it has are over. */
  drain(): Promise<void>
  /** Takes no more jobs, ends those it has (they go back to the queue) and leaves. */
  close(): Promise<void>
  readonly currentJobs: () => readonly string[]
  /** False while it takes no jobs. */
  readonly isOpen: () => boolean
}

/** Listens on the queues of this host's devices and on its own, and runs each job it gets in a child process. */
export async function startWorker(deps: WorkerDeps): Promise<Worker> {
  const devices = deps.devices ?? deps.inventory.devices
  const queues = [...devices, hostQueue(deps.hostId)]
  const stopping = new AbortController()
  const running = new Map<string, Slot>()
  const client = openQueueClient(deps.backend, 5_000)
  const slots = createSlotPool(planSlots(deps.inventory, deps.slots))
  const retry = deps.retry ?? jobContracts.optimize.retry
  deps.metrics.slots.set(deps.slots)
  const gate = createGate()
  const shared = { client, slots, retry, running, shutdown: stopping.signal, accepting: gate.isOpen }
  const consumers = openConsumers(deps, queues, { ...deps, ...shared })
  const heartbeat = await startHeartbeat({
    hosts: deps.storage.hosts,
    host: describeHost(deps, queues),
    intervalMs: deps.heartbeatMs ?? 5_000,
    currentJobs: () => [...running.keys()],
    onDraining: (draining) => void gate.hold('control plane', draining, consumers),
    logger: deps.logger,
  })
  await Promise.all(consumers.map(async (consumer) => consumer.ready()))
  return {
    currentJobs: () => [...running.keys()],
    isOpen: gate.isOpen,
    async drain() {
      await gate.hold('drain', true, consumers)
      await Promise.all(consumers.map(async (consumer) => consumer.close()))
    },
    async close() {
      await gate.hold('stop', true, consumers)
      stopping.abort()
      await Promise.all(consumers.map(async (consumer) => consumer.close()))
      heartbeat.stop()
      await deps.storage.hosts
        .remove(deps.hostId)
        .catch((error: unknown) => deps.logger.warn({ err: error }, 'host not removed'))
      await client.close()
    },
  }
}

function openConsumers(deps: WorkerDeps, queues: readonly string[], registrar: RegistrarDeps): ConsumerHandle[] {
  const options = { concurrency: deps.slots, lockMs: deps.attempt.leaseMs, reconnectMs: deps.reconnectMs ?? 2_000 }
  const hasGpu = deps.inventory.devices.includes('cuda')
  const own = hostQueue(deps.hostId)
  return queues.map((queue) => {
    const needsGpu = queue === 'cuda' || (queue === own && hasGpu)
    return deps.backend.openConsumer(queue, createDelivery(registrar, needsGpu), options)
  })
}

/** Open unless somebody, by name, keeps it closed: consumers fetch only while it is open. */
function createGate() {
  const closedBy = new Set<string>()
  const isOpen = () => closedBy.size === 0
  return {
    isOpen,
    async hold(who: string, closed: boolean, consumers: readonly ConsumerHandle[]) {
      const before = isOpen()
      if (closed) closedBy.add(who)
      else closedBy.delete(who)
      const after = isOpen()
      if (before === after) return
      await Promise.all(consumers.map(async (consumer) => (after ? consumer.resume() : consumer.pause())))
    },
  }
}

function describeHost(deps: WorkerDeps, queues: readonly string[]): NewHost {
  const { hostId: id, hostName: name, inventory, slots, labels = {} } = deps
  return { id, name, inventory, slots, labels, queues }
}
