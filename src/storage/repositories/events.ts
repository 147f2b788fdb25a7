import type { Database } from '../database.ts'
import type { JobEvent } from '../generated/client.ts'
import type { JsonObject } from '../rows.ts'
import { appendEvent, lockOwned } from './jobs/change.ts'
import type { Fence } from './jobs/types.ts'

export type JobEventType =
  | 'job.state'
  | 'job.stage'
  | 'job.progress'
  | 'job.metric'
  | 'job.log'
  | 'job.warning'
  | 'job.placement'
  | 'job.candidate'
  | 'job.verdict'

export interface JobEventRow {
  readonly jobId: string
  /** From 1, without gaps, in the order of the transactions. */
  readonly seq: number
  readonly type: JobEventType
  readonly data: JsonObject
  readonly createdAt: Date
}

export interface Events {
  /** Events after a sequence number, oldest first. Channel `hasten_job` carries the job id when there are more. */
  list(
    project: string,
    jobId: string,
    page: { after?: number | undefined; limit: number },
  ): Promise<readonly JobEventRow[]>
  /** Fenced; undefined when the attempt no longer owns the job. */
  append(fence: Fence, event: { type: 'job.metric' | 'job.log'; data: object }): Promise<JobEventRow | undefined>
}

export function createEvents({ prisma, transaction }: Database): Events {
  return {
    async list(project, jobId, { after = 0, limit }) {
      const where = { project, jobId, seq: { gt: after } }
      return (await prisma.jobEvent.findMany({ where, orderBy: { seq: 'asc' }, take: limit })).map(toEventRow)
    },
    append: (fence, event) =>
      transaction(async (tx) => {
        const locked = await lockOwned(tx, fence)
        if (locked === undefined) return undefined
        const { id: jobId } = locked.job
        const seq = await appendEvent(tx, locked.job, event)
        return toEventRow(await tx.jobEvent.findUniqueOrThrow({ where: { jobId_seq: { jobId, seq } } }))
      }),
  }
}

function toEventRow({ jobId, seq, type, data, createdAt }: JobEvent): JobEventRow {
  return { jobId, seq, type: type as JobEventType, data: data as JsonObject, createdAt }
}
