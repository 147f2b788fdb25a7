import { HastenError, serializeError } from '../../../errors.ts'
import type { Database, Transaction } from '../../database.ts'
import { toJson } from '../../json.ts'
import { changeState, lockJob } from './change.ts'
import { requeueAttempt } from './finish.ts'
import { toJobRow } from './rows.ts'
import { ownedStates, transitions } from './states.ts'
import type { JobRow, JobUpkeep } from './types.ts'

/** Wait before the next attempt of a job whose worker was lost: doubled with each, up to a minute. */
const firstBackoffMs = 2000
const maxBackoffMs = 60_000

export function createJobUpkeep({ prisma, transaction }: Database): JobUpkeep {
  // One transaction a job: a broken one does not hold up the others, and each is checked again under its lock.
  const settle = async (
    ids: readonly { id: string }[],
    work: (tx: Transaction, id: string) => Promise<JobRow | undefined>,
  ) => {
    const rows: JobRow[] = []
    for (const { id } of ids) {
      const row = await transaction((tx) => work(tx, id))
      if (row !== undefined) rows.push(row)
    }
    return rows
  }
  return {
    async expireQueued(now) {
      const where = { state: 'queued', deadlineAt: { lte: now } } as const
      return settle(await prisma.job.findMany({ where, select: { id: true } }), (tx, id) => expireJob(tx, id, now))
    },
    async reapExpired(now) {
      const where = { state: { in: [...ownedStates] }, leaseExpiresAt: { lt: now } }
      return settle(await prisma.job.findMany({ where, select: { id: true } }), (tx, id) => reapJob(tx, id, now))
    },
    async listQueued() {
      return (await prisma.job.findMany({ where: { state: 'queued' }, orderBy: { id: 'asc' } })).map(toJobRow)
    },
  }
}

async function expireJob(tx: Transaction, id: string, now: Date): Promise<JobRow | undefined> {
  const locked = await lockJob(tx, id)
  const state = locked && transitions[locked.job.state].expire
  if (locked === undefined || state === undefined) return undefined
  if (locked.job.deadlineAt === null || locked.job.deadlineAt > now) return undefined
  const error = serializeError(new HastenError('job_deadline', 'The deadline passed before a worker took the job'))
  return toJobRow(await changeState(tx, locked, { state, data: { error: toJson(error) }, event: { error } }))
}

async function reapJob(tx: Transaction, id: string, now: Date): Promise<JobRow | undefined> {
  const locked = await lockJob(tx, id)
  if (locked === undefined || transitions[locked.job.state].requeue === undefined) return undefined
  const { leaseExpiresAt, attempt } = locked.job
  if (leaseExpiresAt === null || leaseExpiresAt >= now) return undefined
  const waitMs = Math.min(firstBackoffMs * 2 ** (attempt - 1), maxBackoffMs)
  const notBefore = new Date(now.getTime() + waitMs)
  return requeueAttempt(tx, locked, { reason: 'worker_lost', notBefore, attemptState: 'lost' })
}
