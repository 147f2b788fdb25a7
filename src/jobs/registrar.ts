import { HastenError, type SerializedError } from '../errors.ts'
import type { ClaimedJob, Storage } from '../storage/index.ts'
import type { Logger } from '../telemetry.ts'
import type { AttemptOutcome } from './attempt-outcome.ts'
import { runAttempt, type AttemptSettings } from './attempt.ts'
import type { QueueClient } from './client.ts'
import { backoffDelay, type RetryPolicy } from './define-job.ts'
import type { JobMetrics } from './metrics.ts'
import type { Delivery, QueueMessage } from './queue-backend.ts'
import { retryUnavailable } from './retry-unavailable.ts'
import type { Slot, SlotPool } from './slots.ts'

export interface RegistrarDeps {
  readonly storage: Pick<Storage, 'jobs' | 'events' | 'listen'>
  readonly client: Pick<QueueClient, 'enqueue'>
  readonly hostId: string
  readonly slots: SlotPool
  readonly retry: RetryPolicy
  readonly attempt: AttemptSettings
  readonly metrics: JobMetrics
  readonly logger: Logger
  readonly shutdown: AbortSignal
  /** False while draining: a fetch that was waiting when it began may still bring a message. */
  readonly accepting: () => boolean
  /** Jobs that run here now, by id. */
  readonly running: Map<string, Slot>
}

// Another host may have a slot; this one looks again soon enough when it is the only one.
const fullHost: Delivery = { retryInMs: 500 }
const noDatabase: Delivery = { retryInMs: 2_000 }

/** Wraps the work on one queue message: slot, claim, log child, metrics, error mapping. */
export function createDelivery(deps: RegistrarDeps, needsGpu: boolean): (message: QueueMessage) => Promise<Delivery> {
  return async ({ jobId }) => {
    const slot = deps.accepting() ? deps.slots.take(needsGpu) : undefined
    if (slot === undefined) return fullHost
    deps.metrics.slotsBusy.set(deps.slots.busy)
    try {
      return await deliver(deps, jobId, slot)
    } finally {
      deps.slots.giveBack(slot)
      deps.metrics.slotsBusy.set(deps.slots.busy)
    }
  }
}

async function deliver(deps: RegistrarDeps, jobId: string, slot: Slot): Promise<Delivery> {
  const logger = deps.logger.child({ job: jobId })
  try {
    const { hostId, attempt } = deps
    const claimed = await deps.storage.jobs.claim({ jobId, hostId, leaseMs: attempt.leaseMs })
    // Somebody else has it, it is over, or it isn't due yet: then the reconciler queues it again.
    if (claimed === undefined) return 'done'
    await workOn({ ...deps, logger: logger.child({ attempt: claimed.fence.attempt }) }, claimed, slot)
    return 'done'
  } catch (error) {
    logger.error({ err: error }, 'job delivery failed')
    return noDatabase
  }
}

async function workOn(deps: RegistrarDeps, claimed: ClaimedJob, slot: Slot): Promise<void> {
  const { metrics, logger, running } = deps
  const startedAt = Date.now()
  running.set(claimed.job.id, slot)
  if (claimed.fence.attempt === 1) metrics.waitSeconds.observe((startedAt - claimed.job.createdAt.getTime()) / 1000)
  try {
    const outcome = await runAttempt({ ...deps, settings: deps.attempt }, claimed, slot)
    metrics.attempts.inc({ outcome: outcome.name })
    metrics.attemptSeconds.observe({ outcome: outcome.name }, (Date.now() - startedAt) / 1000)
    logger.info({ outcome: outcome.name, ms: Date.now() - startedAt }, 'job attempt ended')
    await retryUnavailable(async () => closeAttempt(deps, claimed, outcome), { forMs: deps.attempt.leaseMs * 2 })
  } finally {
    running.delete(claimed.job.id)
  }
}

/** Writes what became of an attempt; every write is fenced, so one that came too late changes nothing. */
async function closeAttempt(deps: RegistrarDeps, { job, fence }: ClaimedJob, outcome: AttemptOutcome): Promise<void> {
  const { jobs } = deps.storage
  if (outcome.action === 'none') return
  if (outcome.action === 'cancel') {
    const owned = await jobs.findOwned(fence)
    await jobs.finishCanceled(fence, owned?.cancelReason ?? 'canceled')
  } else if (outcome.action === 'fail') {
    await jobs.fail(fence, outcome.error)
  } else {
    await requeue(deps, { job, fence }, outcome.name, outcome.error)
  }
}

async function requeue(deps: RegistrarDeps, claimed: ClaimedJob, reason: string, error: SerializedError) {
  const { job, fence } = claimed
  // A worker that stops says nothing against the job: another may take it at once, with as many attempts left.
  const uncounted = reason === 'shutdown'
  const delayMs = uncounted ? 0 : backoffDelay(deps.retry, fence.attempt)
  const notBefore = new Date(Date.now() + delayMs)
  const row = await deps.storage.jobs.requeue(fence, { reason, notBefore, error, uncounted })
  if (row?.state !== 'queued') return
  await deps.client
    .enqueue(job.id, job.queue, { attempt: fence.attempt, delayMs: delayMs + clockSlackMs })
    .catch((cause: unknown) => {
      // The row waits, and the reconciler finds it.
      if (!(cause instanceof HastenError)) throw cause
      deps.logger.warn({ err: cause }, 'job not queued again yet')
    })
}

// The database decides by its own clock whether a job is due.
const clockSlackMs = 100
