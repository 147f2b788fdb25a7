import type { Transaction } from '../../database.ts'
import type { Job } from '../../generated/client.ts'
import type { FileRef } from '../../rows.ts'
import { toJobRow } from './rows.ts'
import type { CandidateRow, JobAttemptRow, JobDetail, JobStageRow } from './types.ts'

/** What hangs on a job's row. */
type JobParts = Pick<JobDetail, 'attempts' | 'stages' | 'candidates' | 'files' | 'queuePosition'>

/** A row as Postgres writes it in JSON: times are texts. */
type AsJson<Row> = { readonly [K in keyof Row]: Date extends Row[K] ? string | Exclude<Row[K], Date> : Row[K] }

interface PartsRow {
  readonly attempts: readonly AsJson<JobAttemptRow>[]
  readonly stages: readonly AsJson<JobStageRow>[]
  readonly candidates: readonly AsJson<CandidateRow>[]
  readonly files: readonly FileRef[]
  readonly queuePosition: number | null
}

/**
 * A job and all its parts in one statement, for jobs are polled: asked table by table they cost a round trip each.
 * @param notes whether stages have their notes, which may be long
 */
export async function readDetail(
  tx: Transaction,
  project: string,
  { id, notes }: { id: string; notes: boolean },
): Promise<JobDetail | undefined> {
  const [row] = await tx.$queryRaw<(PartsRow & Record<string, unknown>)[]>`
    SELECT job.*,
      (SELECT coalesce(jsonb_agg(jsonb_build_object('n', n, 'state', state, 'reason', reason, 'hostId', host_id,
          'pid', pid, 'startedAt', started_at, 'endedAt', ended_at) ORDER BY n), '[]')
        FROM job_attempts WHERE job_id = job.id) AS attempts,
      (SELECT coalesce(jsonb_agg(jsonb_build_object('attempt', attempt, 'position', position, 'name', name,
          'state', state, 'startedAt', started_at, 'endedAt', ended_at,
          'notes', CASE WHEN ${notes} THEN notes ELSE '[]' END) ORDER BY attempt, position), '[]')
        FROM job_stages WHERE job_id = job.id) AS stages,
      (SELECT coalesce(jsonb_agg(jsonb_build_object('id', id, 'jobId', job_id, 'name', name, 'role', role,
          'modelId', model_id, 'options', options, 'measurement', measurement, 'quality', quality,
          'createdAt', created_at) ORDER BY id), '[]')
        FROM job_candidates WHERE job_id = job.id) AS candidates,
      (SELECT coalesce(jsonb_agg(jsonb_build_object('name', name, 'sha256', sha256, 'sizeBytes', size_bytes)
          ORDER BY position), '[]')
        FROM blob_references WHERE owner_kind = 'job' AND owner_id = job.id) AS files,
      CASE WHEN state = 'queued' THEN
        (SELECT count(*)::int FROM jobs other
          WHERE other.state = 'queued' AND other.queue = job.queue AND other.id < job.id)
      END AS "queuePosition"
    FROM jobs job WHERE project = ${project} AND id = ${id}`
  if (row === undefined) return undefined
  const { attempts, stages, candidates, files, queuePosition, ...columns } = row
  const job = Object.fromEntries(Object.entries(columns).map(([name, value]) => [toCamelCase(name), value]))
  return { ...toJobRow(job as Job), ...toParts({ attempts, stages, candidates, files, queuePosition }) }
}

/** The schema maps every column so: `model_id` is `modelId`. */
function toCamelCase(column: string): string {
  return column.replaceAll(/_([a-z])/g, (_, letter: string) => letter.toUpperCase())
}

function toParts({ attempts, stages, candidates, files, queuePosition }: PartsRow): JobParts {
  return {
    attempts: attempts.map((row) => ({ ...row, startedAt: new Date(row.startedAt), endedAt: toDate(row.endedAt) })),
    stages: stages.map((row) => ({ ...row, startedAt: toDate(row.startedAt), endedAt: toDate(row.endedAt) })),
    candidates: candidates.map((row) => ({ ...row, createdAt: new Date(row.createdAt) })),
    files,
    queuePosition,
  }
}

function toDate(text: string | null): Date | null {
  return text === null ? null : new Date(text)
}
