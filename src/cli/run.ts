import { randomUUID } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import { HastenError } from '../errors.ts'
import type { Client } from './client.ts'
import { formatEvidence, type JobView } from './evidence.ts'
import { createStageView, type StageView } from './progress.ts'

export interface RunOptions {
  readonly recipe: string
  readonly train?: string
  readonly calibration?: string
  readonly eval?: string
  readonly gate: readonly string[]
  readonly name?: string
  readonly device: string
  readonly threads: number
  readonly batch: number
  readonly deadline?: string
  readonly report: string
}

/** Exit codes: 0 a better model passed every gate, 2 the original stays, 1 the job did not succeed (or could not be made). */
export type ExitCode = 0 | 1 | 2

export interface RunOutcome {
  readonly job: JobView
  readonly exitCode: ExitCode
}

interface Created {
  readonly id: string
}

/** Uploads what is a file, runs the recipe, follows it, writes the report files and prints the evidence. */
export async function runJob(client: Client, model: string, options: RunOptions): Promise<RunOutcome> {
  const modelId = model.startsWith('mdl_') ? model : await uploadModel(client, model, options.name)
  const datasets = {
    ...(options.train === undefined ? {} : { train: await uploadDataset(client, options.train) }),
    ...(options.calibration === undefined ? {} : { calibration: await uploadDataset(client, options.calibration) }),
    ...(options.eval === undefined ? {} : { eval: await uploadDataset(client, options.eval) }),
  }
  const body = {
    model: modelId,
    recipe: options.recipe,
    datasets,
    target: { device: options.device, threads: options.threads, batch: options.batch },
    gates: options.gate,
    ...(options.deadline === undefined ? {} : { deadline: options.deadline }),
  }
  const { id } = await client
    .post<Created>('/v1/jobs', body, { 'idempotency-key': randomUUID() })
    .catch((error: unknown) => Promise.reject(nameOptions(error)))
  print(`${id}  ${client.baseUrl}/v1/jobs/${id}`)
  await followJob(client, id)
  const job = await client.get<JobView>(`/v1/jobs/${id}`)
  print(formatEvidence(job))
  if (job.verdict !== null) await writeReports(client, id, options.report)
  return { job, exitCode: exitCodeOf(job) }
}

/** A dataset that is missing is a field of a request to the API; here it is an option. */
export function nameOptions(error: unknown): unknown {
  if (!(error instanceof HastenError) || error.code !== 'dataset_needed') return error
  const roles = error.errors.map(({ pointer }) => pointer.split('/').at(-1))
  const hint = `Add ${roles.map((role) => `--${role} samples.npz`).join(' ')}: one array for each input, samples along its first axis.`
  return new HastenError(error.code, error.message, { errors: error.errors, hint })
}

export function exitCodeOf(job: JobView): ExitCode {
  if (job.state !== 'succeeded' || job.verdict === null) return 1
  return job.verdict.passed ? 0 : 2
}

const followTries = 5

/** Shows the job's events until the stream ends; after a broken connection goes on where it stopped. */
async function followJob(client: Client, id: string): Promise<void> {
  const view = createStageView(process.stderr)
  let after: string | undefined = '0'
  for (let tries = 0; tries < followTries && after !== undefined; tries += 1) {
    after = await showEvents(client, id, after, view)
  }
  await view.end()
}

/** Shows the events after one; undefined at the end of the job, else the last one that arrived. */
async function showEvents(client: Client, id: string, after: string, view: StageView): Promise<string | undefined> {
  let last = after
  try {
    for await (const event of client.events(`/v1/jobs/${id}/events?after=${after}`)) {
      last = event.id ?? last
      view.show(event)
    }
    return undefined
  } catch (error) {
    if (error instanceof HastenError && error.code !== 'unavailable') throw error
    return last
  }
}

async function uploadModel(client: Client, file: string, name?: string): Promise<string> {
  const { id } = await client.upload<Created>('/v1/models', file, { name: name ?? resourceName(file) })
  return id
}

async function uploadDataset(client: Client, source: string): Promise<string> {
  if (source.startsWith('dst_')) return source
  const { id } = await client.upload<Created>('/v1/datasets', source, { name: resourceName(source) })
  return id
}

/** A file's name in the alphabet that resource names allow. */
export function resourceName(file: string): string {
  const base = path.basename(file, path.extname(file)).toLowerCase()
  return (
    base
      .replaceAll(/[^a-z0-9._-]+/g, '-')
      .replace(/^[^a-z0-9]+/, '')
      .slice(0, 128) || 'model'
  )
}

const reportFormats = ['json', 'md', 'html'] as const

async function writeReports(client: Client, id: string, base: string): Promise<void> {
  for (const format of reportFormats) {
    const response = await client.fetch(`/v1/jobs/${id}/report.${format}`)
    await writeFile(`${base}.${format}`, Buffer.from(await response.arrayBuffer()))
  }
  print(`report ${reportFormats.map((format) => `${base}.${format}`).join(' ')}`)
}

function print(text: string): void {
  process.stdout.write(`${text}\n`)
}
