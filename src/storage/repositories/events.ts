import type { JsonObject } from '../rows.ts'
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
