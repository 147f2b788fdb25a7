import type { SerializedError } from '../../../errors.ts'
import type { Job, JobAttempt, JobCandidate, JobStage } from '../../generated/client.ts'
import { omit, type FileRef, type JsonObject } from '../../rows.ts'
import type {
  AttemptState,
  CandidateRole,
  CandidateRow,
  JobAttemptRow,
  JobDetail,
  JobProgress,
  JobRow,
  JobStageRow,
  JobWarning,
  StageState,
} from './types.ts'

// JSON columns hold what this module wrote, so their types are asserted here and nowhere else.

export function toJobRow(job: Job): JobRow {
  return {
    ...job,
    recipe: job.recipe as JsonObject,
    datasets: job.datasets as Record<string, string>,
    target: job.target as JsonObject,
    metadata: job.metadata as JsonObject,
    progress: job.progress as JobProgress | null,
    placement: job.placement as JsonObject | null,
    verdict: job.verdict as JsonObject | null,
    warnings: job.warnings as unknown as readonly JobWarning[],
    error: job.error as SerializedError | null,
  }
}

interface JobWithParts extends Job {
  readonly attempts: readonly JobAttempt[]
  readonly stages: readonly JobStage[]
  readonly candidates: readonly JobCandidate[]
}

export function toJobDetail(
  { attempts, stages, candidates, ...job }: JobWithParts,
  files: readonly FileRef[],
): JobDetail {
  return {
    ...toJobRow(job),
    attempts: attempts.map(toAttemptRow),
    stages: stages.map(toStageRow),
    candidates: candidates.map(toCandidateRow),
    files,
  }
}

function toAttemptRow({ n, state, reason, hostId, pid, startedAt, endedAt }: JobAttempt): JobAttemptRow {
  return { n, state: state as AttemptState, reason, hostId, pid, startedAt, endedAt }
}

function toStageRow({ attempt, position, name, state, startedAt, endedAt, notes }: JobStage): JobStageRow {
  return { attempt, position, name, state: state as StageState, startedAt, endedAt, notes: notes as JsonObject[] }
}

export function toCandidateRow(candidate: JobCandidate): CandidateRow {
  return {
    ...omit(candidate, 'project'),
    role: candidate.role as CandidateRole,
    options: candidate.options as JsonObject,
    measurement: candidate.measurement as JsonObject,
    quality: candidate.quality as JsonObject,
  }
}
