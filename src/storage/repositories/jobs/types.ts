import type { SerializedError } from '../../../errors.ts'
import type { FileRef, JsonObject, Page, Paging } from '../../rows.ts'
import type { NewModel } from '../models.ts'

export type JobState = 'queued' | 'running' | 'canceling' | 'succeeded' | 'failed' | 'canceled' | 'expired'
export type AttemptState = 'running' | 'succeeded' | 'failed' | 'lost' | 'canceled'
export type StageState = 'running' | 'succeeded' | 'failed' | 'skipped' | 'canceled'

export interface NewJob {
  readonly project: string
  readonly modelId: string
  /** Resolved recipe with its name and version. */
  readonly recipe: object
  /** Dataset id by role: calibration, eval, train. */
  readonly datasets: Readonly<Record<string, string>>
  readonly target: object
  readonly gates: readonly string[]
  /** Device class (`cpu`, `cuda`) or `host-<id>`. */
  readonly queue: string
  readonly metadata?: object
  /** Id of a webhook that hears of this job whatever events it subscribed to. */
  readonly webhook?: string | null
  readonly deadlineAt?: Date | null
  readonly maxAttempts?: number | undefined
}

export interface JobProgress {
  readonly done: number
  readonly total: number
  readonly unit: string
}

export interface JobWarning {
  readonly code: string
  readonly detail?: string
  readonly hint?: string
}

export interface JobRow {
  readonly id: string
  readonly project: string
  readonly modelId: string
  readonly recipe: JsonObject
  readonly datasets: Readonly<Record<string, string>>
  readonly target: JsonObject
  readonly gates: readonly string[]
  readonly metadata: JsonObject
  readonly webhook: string | null
  readonly state: JobState
  readonly stage: string | null
  /** Number of the attempt that owns the job; 0 before the first claim. */
  readonly attempt: number
  readonly maxAttempts: number
  readonly hostId: string | null
  readonly leaseExpiresAt: Date | null
  readonly notBefore: Date | null
  readonly deadlineAt: Date | null
  readonly cancelRequestedAt: Date | null
  readonly cancelReason: string | null
  readonly queue: string
  readonly progress: JobProgress | null
  readonly placement: JsonObject | null
  readonly verdict: JsonObject | null
  readonly warnings: readonly JobWarning[]
  readonly error: SerializedError | null
  readonly resultModelId: string | null
  readonly retryOf: string | null
  readonly createdAt: Date
  readonly startedAt: Date | null
  readonly finishedAt: Date | null
  readonly lastEventSeq: number
}

export interface JobAttemptRow {
  readonly n: number
  readonly state: AttemptState
  readonly reason: string | null
  readonly hostId: string | null
  readonly pid: number | null
  readonly startedAt: Date
  readonly endedAt: Date | null
}

export interface JobStageRow {
  readonly attempt: number
  readonly position: number
  readonly name: string
  readonly state: StageState
  readonly startedAt: Date | null
  readonly endedAt: Date | null
  readonly notes: readonly JsonObject[]
}

export type CandidateRole = 'baseline' | 'candidate' | 'chosen'

/** A model that a job makes; `project`, `parentId` and `jobId` are the job's. */
export type JobModel = Omit<NewModel, 'project' | 'parentId' | 'jobId'>

export interface NewCandidate {
  readonly name: string
  readonly role: CandidateRole
  readonly modelId?: string | null
  /** Published together with the row, which then names it. */
  readonly model?: JobModel
  readonly options: object
  readonly measurement: object
  readonly quality: object
}

export interface CandidateRow {
  readonly id: string
  readonly jobId: string
  readonly name: string
  readonly role: CandidateRole
  readonly modelId: string | null
  readonly options: JsonObject
  readonly measurement: JsonObject
  readonly quality: JsonObject
  readonly createdAt: Date
}

/** A job with everything that hangs on it; stages, attempts and candidates in their order. */
export interface JobDetail extends JobRow {
  readonly attempts: readonly JobAttemptRow[]
  readonly stages: readonly JobStageRow[]
  readonly candidates: readonly CandidateRow[]
  /** Files of the job itself: its artifacts. */
  readonly files: readonly FileRef[]
  /** Jobs of the same queue that are before it, from 0; null when it does not wait. */
  readonly queuePosition: number | null
}

/** Proof of ownership: a write counts only while the job is running or canceling under this attempt. */
export interface Fence {
  readonly jobId: string
  readonly attempt: number
}

export interface ClaimedJob {
  readonly job: JobRow
  readonly fence: Fence
}

export interface Lease {
  /** False when another attempt, or nobody, owns the job: stop. */
  readonly owned: boolean
  readonly cancelRequested: boolean
  readonly deadlineAt: Date | null
}

export interface JobResult {
  readonly verdict: object
  readonly placement?: object
  /** Published with the verdict or not at all. Without it the result is the model of the chosen candidate, or the baseline's. */
  readonly resultModel?: JobModel
  readonly candidates?: readonly NewCandidate[]
  /** The job's own artifacts, kept alive by it. */
  readonly files?: readonly FileRef[]
}

export interface JobRequeue {
  readonly reason: string
  readonly notBefore: Date
  readonly error?: SerializedError
  /** The attempt was stopped for no fault of the job: it uses up none of its attempts. */
  readonly uncounted?: boolean
}

export interface JobFilter {
  readonly state?: readonly JobState[] | undefined
  readonly modelId?: string | undefined
  /** Rows whose metadata has all of these. */
  readonly metadata?: Readonly<Record<string, string>> | undefined
}

export interface QueueStats {
  readonly queue: string
  /** Jobs that wait. */
  readonly depth: number
  /** Jobs that run or are being canceled. */
  readonly active: number
  readonly oldestQueuedAt: Date | null
}

/** What a client or the control plane does with jobs. */
export interface JobRequests {
  /** State queued; writes the first job.state event. Throws not_found when the model or a dataset is not the project's. */
  create(job: NewJob): Promise<JobRow>
  /** `notes: false` leaves out those of the stages, which may be long. */
  find(project: string, id: string, choice?: { notes?: boolean }): Promise<JobDetail | undefined>
  /** The bare row, for pollers. */
  findRow(project: string, id: string): Promise<JobRow | undefined>
  list(project: string, filter: JobFilter, paging: Paging): Promise<Page<JobRow>>
  /** Queued becomes canceled at once, running becomes canceling, anything else stays as it is. Undefined: no such job. */
  requestCancel(project: string, id: string, reason: string): Promise<JobRow | undefined>
  /** A new job with the same input. Throws job_not_finished while the old one is active. Undefined: no such job. */
  retry(project: string, id: string): Promise<JobRow | undefined>
  /** Over all projects. */
  queueStats(): Promise<readonly QueueStats[]>
}

/** What an attempt does with the job it owns. Undefined or false: the attempt does not own it (any more). */
export interface JobAttempts {
  /** Queued and due → running under the next attempt. Undefined when somebody else has it, or it is not due. */
  claim(request: { jobId: string; hostId: string; leaseMs: number; pid?: number }): Promise<ClaimedJob | undefined>
  /** The owned row, for the process that got only the fence. */
  findOwned(fence: Fence): Promise<JobRow | undefined>
  renewLease(fence: Fence, leaseMs: number): Promise<Lease>
  startStage(fence: Fence, name: string): Promise<boolean>
  /** Ends the newest running stage of that name. */
  endStage(
    fence: Fence,
    name: string,
    state: Exclude<StageState, 'running'>,
    notes?: readonly object[],
  ): Promise<boolean>
  setProgress(fence: Fence, progress: JobProgress): Promise<boolean>
  addWarning(fence: Fence, warning: JobWarning): Promise<boolean>
  setPlacement(fence: Fence, placement: object): Promise<boolean>
  addCandidate(fence: Fence, candidate: NewCandidate): Promise<CandidateRow | undefined>
  /** Keeps what a training can go on from, in place of the job's one before. It is let go of when the job is over. */
  keepCheckpoint(fence: Fence, file: FileRef): Promise<boolean>
  /** The job's checkpoint, whichever attempt kept it. */
  findCheckpoint(fence: Fence): Promise<FileRef | undefined>
  succeed(fence: Fence, result: JobResult): Promise<JobRow | undefined>
  fail(fence: Fence, error: SerializedError): Promise<JobRow | undefined>
  /**
   * Closes the attempt; the job is queued again, failed (with `error`, else worker_lost) when its attempts are used up,
   * or canceled when that was asked for. The row says which.
   */
  requeue(fence: Fence, retry: JobRequeue): Promise<JobRow | undefined>
  finishCanceled(fence: Fence, reason: string): Promise<JobRow | undefined>
}

/** What keeps the table right whoever dies. */
export interface JobUpkeep {
  /** Queued jobs past their deadline → expired. */
  expireQueued(now: Date): Promise<readonly JobRow[]>
  /** Jobs whose lease is over → queued again after a backoff, failed with worker_lost, or canceled. */
  reapExpired(now: Date): Promise<readonly JobRow[]>
  /** Every queued job, oldest first, for the reconciler that compares them with the queue. */
  listQueued(): Promise<readonly JobRow[]>
}

export type Jobs = JobRequests & JobAttempts & JobUpkeep
