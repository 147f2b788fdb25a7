import type { SerializedError } from '../../../errors.ts'
import type { Job, JobCandidate } from '../../generated/client.ts'
import { omit, type JsonObject } from '../../rows.ts'
import type { CandidateRole, CandidateRow, JobProgress, JobRow, JobWarning } from './types.ts'

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

export function toCandidateRow(candidate: JobCandidate): CandidateRow {
  return {
    ...omit(candidate, 'project'),
    role: candidate.role as CandidateRole,
    options: candidate.options as JsonObject,
    measurement: candidate.measurement as JsonObject,
    quality: candidate.quality as JsonObject,
  }
}
