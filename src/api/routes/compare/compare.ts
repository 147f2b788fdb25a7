import type { CandidateRow, JobDetail, JobRow, ModelRow, Storage } from '../../../storage/index.ts'
import { found } from '../../context.ts'
import { findMeasured } from '../../reports/evidence.ts'
import type { Target } from '../jobs/prepare.ts'
import type { Entry } from './schema.ts'

/** The baseline and the chosen model of each job; the best of the others where the original was chosen. */
export async function compareJobs(storage: Storage, project: string, ids: readonly string[]) {
  const jobs = await Promise.all(ids.map(async (id) => found(await storage.jobs.find(project, id), `job ${id}`)))
  return toComparison(
    jobs.flatMap((job) =>
      Object.values(findMeasured(job)).flatMap((row) => (row === undefined ? [] : [toEntry(job, row)])),
    ),
  )
}

/** Each model with what the job that made it measured, else the newest job that took it as its baseline. */
export async function compareModels(storage: Storage, project: string, ids: readonly string[]) {
  const models = await Promise.all(ids.map(async (id) => found(await storage.models.find(project, id), `model ${id}`)))
  return toComparison(await Promise.all(models.map(async (model) => measuredEntry(storage, project, model))))
}

async function measuredEntry({ jobs }: Storage, project: string, model: ModelRow): Promise<Entry> {
  const role = model.jobId === null ? 'baseline' : 'chosen'
  const isModel = (row: CandidateRow) => row.modelId === model.id || (row.modelId === null && row.role === role)
  const jobId = model.jobId ?? (await newestJob(jobs, project, model.id))?.id
  const job = jobId === undefined ? undefined : await jobs.find(project, jobId)
  const candidate = job?.candidates.find(isModel)
  if (job === undefined || candidate === undefined) return unmeasured(model)
  return { ...toEntry(job, candidate), model: model.id, name: model.name }
}

async function newestJob(jobs: Storage['jobs'], project: string, modelId: string): Promise<JobRow | undefined> {
  const { rows } = await jobs.list(project, { modelId, state: ['succeeded'] }, { limit: 1 })
  return rows[0]
}

function unmeasured({ id, name }: ModelRow): Entry {
  const nothing = { job: null, role: null, host: null, threads: null, batch: null }
  return { model: id, name, ...nothing, measurement: null, quality: null, verdict: null }
}

function toEntry(job: JobDetail, candidate: CandidateRow): Entry {
  const { threads, batch } = job.target as unknown as Target
  const made = candidate.role === 'baseline' ? job.modelId : (job.resultModelId ?? job.modelId)
  return {
    model: candidate.modelId ?? made,
    job: job.id,
    name: candidate.name,
    role: candidate.role,
    host: job.hostId,
    threads,
    batch,
    measurement: candidate.measurement,
    quality: candidate.quality,
    verdict: job.verdict,
  }
}

function toComparison(data: readonly Entry[]) {
  const settings = new Set(data.map(({ host, threads, batch }) => JSON.stringify([host, threads, batch])))
  const measured = data.every(({ measurement }) => measurement !== null)
  return { object: 'comparison' as const, comparable: measured && settings.size <= 1, data: [...data] }
}
