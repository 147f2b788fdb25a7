import type { Database, Transaction } from '../../database.ts'
import { toJson } from '../../json.ts'
import { addReferences, dropReferences, findFiles } from '../references.ts'
import { appendEvent, changeState, isOwned, lockJob, lockOwned, type LockedJob } from './change.ts'
import { insertCandidate } from './candidates.ts'
import { createFinishes } from './finish.ts'
import { toJobRow } from './rows.ts'
import { transitions } from './states.ts'
import type { ClaimedJob, Fence, JobAttempts, Lease } from './types.ts'

export function createJobAttempts(database: Database): JobAttempts {
  const { prisma, transaction } = database
  /** Runs the work on the locked job if the attempt owns it. */
  const fenced = <T>(fence: Fence, work: (tx: Transaction, locked: LockedJob) => Promise<T>): Promise<T | undefined> =>
    transaction(async (tx) => {
      const locked = await lockOwned(tx, fence)
      return locked === undefined ? undefined : work(tx, locked)
    })
  const written = async (work: Promise<unknown>) => (await work) !== undefined
  return {
    ...createFinishes(fenced),
    claim: (request) => transaction((tx) => claimJob(tx, request)),
    async findOwned(fence) {
      const job = await prisma.job.findUnique({ where: { id: fence.jobId } })
      return job !== null && isOwned(job, fence) ? toJobRow(job) : undefined
    },
    renewLease: (fence, leaseMs) => renewLease(prisma, fence, leaseMs),
    startStage: (fence, name) => written(fenced(fence, (tx, locked) => openStage(tx, locked, name))),
    async endStage(fence, name, state, notes = []) {
      return (await fenced(fence, (tx, locked) => endStage(tx, locked, { name, state, notes }))) ?? false
    },
    setProgress: (fence, progress) =>
      written(
        fenced(fence, async (tx, { job }) => {
          await tx.job.update({ where: { id: job.id }, data: { progress: toJson(progress) } })
          return appendEvent(tx, job, { type: 'job.progress', data: { stage: job.stage, ...progress } })
        }),
      ),
    addWarning: (fence, warning) =>
      written(
        fenced(fence, async (tx, { job }) => {
          const warnings = [...toJobRow(job).warnings, warning].map(toJson)
          await tx.job.update({ where: { id: job.id }, data: { warnings } })
          return appendEvent(tx, job, { type: 'job.warning', data: warning })
        }),
      ),
    setPlacement: (fence, placement) =>
      written(
        fenced(fence, async (tx, { job }) => {
          await tx.job.update({ where: { id: job.id }, data: { placement: toJson(placement) } })
          return appendEvent(tx, job, { type: 'job.placement', data: placement })
        }),
      ),
    keepCheckpoint: (fence, file) =>
      written(
        fenced(fence, async (tx, { job: { id, project } }) => {
          await dropReferences(tx, 'checkpoint', id)
          await addReferences(tx, { kind: 'checkpoint', id, project }, [file])
          return true
        }),
      ),
    async findCheckpoint({ jobId }) {
      return (await findFiles(prisma, 'checkpoint', [jobId])).get(jobId)?.[0]
    },
    addCandidate: (fence, candidate) => fenced(fence, (tx, { job }) => insertCandidate(tx, job, candidate)),
  }
}

interface ClaimRequest {
  readonly jobId: string
  readonly hostId: string
  readonly leaseMs: number
  readonly pid?: number
}

async function claimJob(
  tx: Transaction,
  { jobId, hostId, leaseMs, pid }: ClaimRequest,
): Promise<ClaimedJob | undefined> {
  const locked = await lockJob(tx, jobId)
  const state = locked && transitions[locked.job.state].claim
  if (locked === undefined || state === undefined || !isDue(locked)) return undefined
  const { job, now } = locked
  const attempt = job.attempt + 1
  await tx.jobAttempt.create({
    data: { jobId, n: attempt, project: job.project, state: 'running', hostId, pid: pid ?? null, startedAt: now },
  })
  const leaseExpiresAt = new Date(now.getTime() + leaseMs)
  const data = { attempt, hostId, leaseExpiresAt, notBefore: null, startedAt: job.startedAt ?? now, stage: null }
  const claimed = await changeState(tx, locked, { state, data, event: { host: hostId } })
  return { job: toJobRow(claimed), fence: { jobId, attempt } }
}

// A job past its deadline is left to expireQueued.
function isDue({ job, now }: LockedJob): boolean {
  return (job.notBefore === null || job.notBefore <= now) && (job.deadlineAt === null || job.deadlineAt > now)
}

async function renewLease(tx: Transaction, { jobId, attempt }: Fence, leaseMs: number): Promise<Lease> {
  const [row] = await tx.$queryRaw<{ state: string; deadline_at: Date | null }[]>`
    UPDATE jobs SET lease_expires_at = clock_timestamp() + ${leaseMs} * interval '1 millisecond'
    WHERE id = ${jobId} AND attempt = ${attempt} AND state IN ('running', 'canceling')
    RETURNING state::text, deadline_at`
  if (row === undefined) return { owned: false, cancelRequested: false, deadlineAt: null }
  return { owned: true, cancelRequested: row.state === 'canceling', deadlineAt: row.deadline_at }
}

async function openStage(tx: Transaction, { job, now }: LockedJob, name: string): Promise<number> {
  const { id: jobId, project, attempt } = job
  const position = await tx.jobStage.count({ where: { jobId, attempt } })
  await tx.jobStage.create({ data: { jobId, attempt, position, project, name, state: 'running', startedAt: now } })
  await tx.job.update({ where: { id: jobId }, data: { stage: name } })
  return appendEvent(tx, job, { type: 'job.stage', data: { stage: name, state: 'running', attempt, position } })
}

async function endStage(
  tx: Transaction,
  { job, now }: LockedJob,
  { name, state, notes }: { name: string; state: string; notes: readonly object[] },
): Promise<boolean> {
  const { id: jobId, attempt } = job
  const where = { jobId, attempt, name, state: 'running' }
  const stage = await tx.jobStage.findFirst({ where, orderBy: { position: 'desc' } })
  if (stage === null) return false
  const { position } = stage
  await tx.jobStage.update({
    where: { jobId_attempt_position: { jobId, attempt, position } },
    data: { state, endedAt: now, notes: notes.map(toJson) },
  })
  await appendEvent(tx, job, { type: 'job.stage', data: { stage: name, state, attempt, position } })
  return true
}
