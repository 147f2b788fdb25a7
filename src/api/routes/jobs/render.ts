import { artifactKind } from '../../../jobs/optimize/contract.ts'
import type { FileRef, JobDetail, JobEventRow, JobRow, JsonObject } from '../../../storage/index.ts'
import { orderRecipe } from '../../recipes.ts'
import { formatTime, formatTimeOrNull, type Metadata } from '../../schemas/common.ts'
import type { JobResource } from '../../schemas/job.ts'

/** A job without what hangs on it, as lists show it. */
export type JobParts = Pick<JobDetail, 'attempts' | 'stages' | 'candidates' | 'files' | 'queuePosition'>

const noParts: JobParts = { attempts: [], stages: [], candidates: [], files: [], queuePosition: null }

export function renderJob(row: JobRow, parts: JobParts = noParts, now = new Date()): JobResource {
  const { queuePosition } = parts
  return {
    id: row.id,
    object: 'job',
    project: row.project,
    model: row.modelId,
    recipe: renderRecipe(row.recipe),
    datasets: row.datasets,
    gates: [...row.gates],
    state: row.state,
    stage: row.stage,
    ...renderParts(parts),
    artifacts: parts.files.flatMap((file) => renderArtifact(row.id, file)),
    progress: row.progress,
    queue: row.queue,
    // Clients count from 1, the queue from 0.
    queue_position: queuePosition === null ? null : queuePosition + 1,
    estimated_finish: formatTimeOrNull(estimateFinish(row, parts, now)),
    placement: { requested: row.target as JobResource['placement']['requested'], actual: row.placement },
    verdict: row.verdict,
    result: row.resultModelId === null ? null : { model: row.resultModelId },
    error: row.error === null ? null : { ...row.error, errors: [...row.error.errors] },
    warnings: [...row.warnings],
    metadata: row.metadata as Metadata,
    webhook: row.webhook,
    retry_of: row.retryOf,
    deadline_at: formatTimeOrNull(row.deadlineAt),
    created_at: formatTime(row.createdAt),
    started_at: formatTimeOrNull(row.startedAt),
    finished_at: formatTimeOrNull(row.finishedAt),
    links: {
      self: `/v1/jobs/${row.id}`,
      events: `/v1/jobs/${row.id}/events`,
      report: `/v1/jobs/${row.id}/report`,
    },
  }
}

export function renderEvent(row: JobEventRow) {
  return { seq: row.seq, type: row.type, data: row.data, created_at: formatTime(row.createdAt) }
}

function renderArtifact(job: string, { name, sha256, sizeBytes }: FileRef): JobResource['artifacts'] {
  const kind = artifactKind(name)
  if (kind === undefined) return []
  return [{ kind, size_bytes: sizeBytes, sha256, href: `/v1/jobs/${job}/artifacts/${kind}` }]
}

function renderRecipe({ body, ...recipe }: JobRow['recipe']): JobRow['recipe'] {
  return body === undefined ? recipe : { ...recipe, body: orderRecipe(body as JsonObject) }
}

function renderParts({ attempts, stages, candidates }: JobParts) {
  return {
    attempts: attempts.map((attempt) => ({
      n: attempt.n,
      state: attempt.state,
      reason: attempt.reason,
      host: attempt.hostId,
      started_at: formatTime(attempt.startedAt),
      ended_at: formatTimeOrNull(attempt.endedAt),
    })),
    stages: stages.map((stage) => ({
      name: stage.name,
      attempt: stage.attempt,
      state: stage.state,
      started_at: formatTimeOrNull(stage.startedAt),
      ended_at: formatTimeOrNull(stage.endedAt),
    })),
    candidates: candidates.map((candidate) => ({
      id: candidate.id,
      name: candidate.name,
      role: candidate.role,
      model: candidate.modelId,
      options: candidate.options,
      measurement: candidate.measurement,
      quality: candidate.quality,
    })),
  }
}

/** When the running stage ends at the pace it has had; stages after it are not foreseen. Null without progress. */
function estimateFinish({ state, stage, progress }: JobRow, { stages }: JobParts, now: Date): Date | null {
  const startedAt = stages.findLast(({ name, state: own }) => name === stage && own === 'running')?.startedAt
  if (state !== 'running' || progress === null || progress.done <= 0 || startedAt === null || startedAt === undefined) {
    return null
  }
  const elapsed = now.getTime() - startedAt.getTime()
  const left = (elapsed * Math.max(0, progress.total - progress.done)) / progress.done
  return new Date(now.getTime() + left)
}
