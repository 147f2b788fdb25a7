import { HastenError, serializeError } from '../errors.ts'
import type { HostRow, JobRow, Storage } from '../storage/index.ts'
import type { Logger } from '../telemetry.ts'
import type { QueueClient } from './client.ts'
import type { JobMetrics } from './metrics.ts'
import { startLoop, type Loop } from './loop.ts'

export interface ReconcilerDeps {
  readonly storage: Pick<Storage, 'jobs' | 'hosts' | 'exclusively'>
  readonly client: Pick<QueueClient, 'enqueue'>
  readonly metrics: JobMetrics
  readonly logger: Logger
  /** A queued job this young is left alone: its producer is about to queue it. Default 5 s. */
  readonly settleMs?: number
  /** How long a job waits for a device that no live host offers. Default 10 minutes. */
  readonly deviceWaitMs?: number
}

/** How often roles look. */
export const reconcileEveryMs = 5_000

/** Queued again per queue and round; the jobs behind them are looked at when these have gone. */
const batchSize = 100

/**
 * Puts right what crashes left behind, every `intervalMs`. Any number may run, and one at a time works; should two, no
 * harm is done: each step is atomic or may be repeated.
 */
export function startReconciler(deps: ReconcilerDeps, intervalMs: number): Loop {
  return startLoop('reconciler', intervalMs, deps.logger, async () => {
    await showDepth(deps)
    await deps.storage.exclusively('reconciler', async () => reconcile(deps))
  })
}

/**
 * One round: ends queued jobs past their deadline, takes back jobs whose worker is gone, queues again the ones the
 * queue has lost, and fails the ones no host can run.
 */
export async function reconcile(deps: ReconcilerDeps): Promise<void> {
  const { jobs } = deps.storage
  const now = new Date()
  count(deps, 'expired', await jobs.expireQueued(now))
  count(deps, 'reaped', await jobs.reapExpired(now))
  const queued = await jobs.listQueued()
  const unserved = await failUnserved(deps, queued, now)
  await enqueueLost(
    deps,
    queued.filter((job) => !unserved.has(job)),
    now,
  )
}

function count({ metrics, logger }: ReconcilerDeps, action: string, rows: readonly JobRow[]): void {
  if (rows.length === 0) return
  metrics.reconciled.inc({ action }, rows.length)
  logger.warn({ action, jobs: rows.map((row) => row.id) }, 'jobs reconciled')
}

// In every process: a gauge that only the one at work sets would grow stale in the others.
async function showDepth({ storage, metrics }: ReconcilerDeps): Promise<void> {
  const stats = await storage.jobs.queueStats()
  metrics.queueDepth.reset()
  for (const { queue, depth } of stats) metrics.queueDepth.set({ queue }, depth)
}

/** Adding a message that is there does nothing, so there is no need to ask the queue first. */
async function enqueueLost({ client, settleMs = 5_000 }: ReconcilerDeps, queued: readonly JobRow[], now: Date) {
  const settled = queued.filter((job) => now.getTime() - dueAt(job) >= settleMs)
  for (const batch of Object.values(Object.groupBy(settled, (job) => job.queue))) {
    const oldest = batch?.slice(0, batchSize) ?? []
    await Promise.all(oldest.map(async (job) => client.enqueue(job.id, job.queue, { attempt: job.attempt })))
  }
}

function dueAt({ createdAt, notBefore }: JobRow): number {
  return (notBefore ?? createdAt).getTime()
}

/** Fails jobs that asked for a device, or a host, nobody has offered for a while. */
async function failUnserved(deps: ReconcilerDeps, queued: readonly JobRow[], now: Date): Promise<ReadonlySet<JobRow>> {
  const { storage, deviceWaitMs = 600_000 } = deps
  // Every host offers the CPU: without a worker those jobs wait for one to be started, however long that takes.
  const patient = queued.filter((job) => job.queue !== 'cpu' && now.getTime() - dueAt(job) > deviceWaitMs)
  if (patient.length === 0) return new Set()
  const offered = offeredQueues(await storage.hosts.list('*', { liveWithinMs: deviceWaitMs }))
  const unserved = patient.filter((job) => !offered.has(job.queue))
  await Promise.all(unserved.map(async (job) => failUnavailable(deps, job)))
  count(deps, 'device_unavailable', unserved)
  return new Set(unserved)
}

function offeredQueues(hosts: readonly HostRow[]): ReadonlySet<string> {
  return new Set(hosts.flatMap((host) => host.queues))
}

// A queued job belongs to nobody; claiming it first makes this write as exclusive as a worker's.
async function failUnavailable({ storage }: ReconcilerDeps, job: JobRow): Promise<void> {
  const claimed = await storage.jobs.claim({ jobId: job.id, hostId: 'none', leaseMs: 30_000 })
  if (claimed === undefined) return
  const error = new HastenError('device_unavailable', `No live worker has served the queue "${job.queue}" lately.`)
  await storage.jobs.fail(claimed.fence, serializeError(error))
}
