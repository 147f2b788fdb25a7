import type { Transaction } from '../../database.ts'
import type { Job, Prisma } from '../../generated/client.ts'
import { toJson } from '../../json.ts'
import type { JobEventType } from '../events.ts'
import { dropReferences } from '../references.ts'
import { enqueueJobDeliveries } from '../webhooks.ts'
import { attemptOutcomes, isTerminal, stageOutcomes } from './states.ts'
import type { AttemptState, Fence, JobState } from './types.ts'

/** A job whose row is locked until the transaction ends, and the database's clock, which all hosts share. */
export interface LockedJob {
  readonly job: Job
  readonly now: Date
}

/** Locks the row, so that what is decided on it stays true until it is written. */
export async function lockJob(tx: Transaction, id: string): Promise<LockedJob | undefined> {
  const [locked] = await tx.$queryRaw<{ now: Date }[]>`
    SELECT clock_timestamp() AS now FROM jobs WHERE id = ${id} FOR UPDATE`
  if (locked === undefined) return undefined
  const job = await tx.job.findUnique({ where: { id } })
  return job === null ? undefined : { job, now: locked.now }
}

/** The locked job, if this attempt owns it. */
export async function lockOwned(tx: Transaction, fence: Fence): Promise<LockedJob | undefined> {
  const locked = await lockJob(tx, fence.jobId)
  return locked !== undefined && isOwned(locked.job, fence) ? locked : undefined
}

export function isOwned({ state, attempt }: Pick<Job, 'state' | 'attempt'>, fence: Fence): boolean {
  return attempt === fence.attempt && (state === 'running' || state === 'canceling')
}

/** Appends an event under the lock of the job's row, which makes the sequence gapless. */
export async function appendEvent(
  tx: Transaction,
  job: Pick<Job, 'id' | 'project'>,
  { type, data }: { type: JobEventType; data: object },
): Promise<number> {
  const update = { lastEventSeq: { increment: 1 } }
  const { lastEventSeq: seq } = await tx.job.update({ where: { id: job.id }, data: update })
  await tx.jobEvent.create({ data: { jobId: job.id, project: job.project, seq, type, data: toJson(data) } })
  await tx.$executeRaw`SELECT pg_notify('hasten_job', ${job.id})`
  return seq
}

export interface StateChange {
  readonly state: JobState
  readonly data?: Prisma.JobUpdateInput
  /** Goes into the event beside the state. */
  readonly event?: object
}

/** Writes the new state with its event, and for a terminal one the webhook deliveries. The row must be locked. */
export async function changeState(tx: Transaction, { job, now }: LockedJob, change: StateChange): Promise<Job> {
  const { state, data, event } = change
  const ended = isTerminal(state) ? { finishedAt: now } : {}
  const lease = isTerminal(state) || state === 'queued' ? { leaseExpiresAt: null } : {}
  const changed = await tx.job.update({ where: { id: job.id }, data: { state, ...lease, ...ended, ...data } })
  const seq = await appendEvent(tx, job, { type: 'job.state', data: { state, attempt: changed.attempt, ...event } })
  const row = { ...changed, lastEventSeq: seq }
  if (!isTerminal(state)) return row
  await dropReferences(tx, 'checkpoint', job.id)
  await enqueueJobDeliveries(tx, row)
  return row
}

/** Ends the attempt that owns the locked job, and the stages it left open. */
export async function closeAttempt(
  tx: Transaction,
  { job, now }: LockedJob,
  {
    next,
    state = attemptOutcomes[next],
    reason,
  }: { next: JobState; state?: AttemptState; reason?: string | undefined },
): Promise<void> {
  await tx.jobAttempt.updateMany({
    where: { jobId: job.id, n: job.attempt },
    data: { state, endedAt: now, ...(reason === undefined ? {} : { reason }) },
  })
  await tx.jobStage.updateMany({
    where: { jobId: job.id, attempt: job.attempt, state: 'running' },
    data: { state: stageOutcomes[state], endedAt: now },
  })
}
