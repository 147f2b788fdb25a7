import { createReadStream } from 'node:fs'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { expect } from 'vitest'
import { parseRecipe, type Recipe } from '../../../src/engine/schemas.ts'
import { childEntry } from '../../../src/jobs/capped-child.ts'
import type { AttemptSettings } from '../../../src/jobs/attempt.ts'
import type { JobChildSettings } from '../../../src/jobs/optimize/settings.ts'
import type { Worker } from '../../../src/jobs/worker.ts'
import type { JobDetail, JobEventRow, NewJob } from '../../../src/storage/index.ts'
import type { BackendUrls } from '../../support/job-worker.ts'
import { workerDeps } from '../../support/job-worker.ts'
import { createJobsFixture, project, type JobsFixture } from '../../support/jobs.ts'
import { buildModel, type ModelSpec } from '../../support/models.ts'
import { createTestDatabase } from '../../support/postgres.ts'

/** On a machine that does other work besides. */
export const patience = 150_000

const target = { device: 'cpu', threads: 1, batch: 1, host: null, labels: {} }

/** Jobs that train, each in a child that does real work. */
export interface TrainingFixture {
  readonly jobs: JobsFixture
  /** For the files of a test; removed at the end. */
  readonly folder: string
  startWorker(change?: Partial<AttemptSettings>): Promise<Worker>
  storeModel(file: string): Promise<string>
  /** Stores a model that the test makes itself. */
  storeSpec(name: string, spec: ModelSpec): Promise<string>
  storeDataset(file: string, labels: string | null): Promise<string>
  submit(modelId: string, name: string, recipe: object, change?: Partial<NewJob>): Promise<string>
  eventsOf(jobId: string, type: JobEventRow['type']): Promise<JobEventRow[]>
  /** Fails unless a job that ended without a result left no model, no artifact, no checkpoint and no file. */
  expectNothingLeft(job: JobDetail): Promise<void>
  close(): Promise<void>
}

export async function createTrainingFixture({ redisUrl }: Pick<BackendUrls, 'redisUrl'>): Promise<TrainingFixture> {
  const folder = await mkdtemp(join(tmpdir(), 'hasten-training-'))
  const database = await createTestDatabase()
  const { connectionString } = database
  const jobs = await createJobsFixture({ connectionString, redisUrl })
  const { storage, backend, client, dir } = jobs
  const settings: JobChildSettings = {
    connectionString,
    runtime: 'ort',
    logLevel: 'warn',
    cacheBytes: 2 ** 28,
    measureBudgetMs: 300,
    checkpointMs: 100,
    isa: ['avx512_vnni'],
  }
  const upload = async (file: string) => {
    const blob = await storage.artifacts.write(createReadStream(file), { maxBytes: 2 ** 30 })
    return { name: basename(file), ...blob }
  }
  const fixture: TrainingFixture = {
    jobs,
    folder,
    async startWorker(change = {}) {
      const { attempt } = workerDeps(storage, backend, { connectionString, redisUrl, dir })
      const entry = childEntry(import.meta.url, '../../../src/roles/job-child')
      const real = { entry, leaseMs: 10_000, memoryBytes: 2 ** 31, childSettings: settings, slotsDir: dir }
      return jobs.startWorker({ slots: 1, attempt: { ...attempt, ...real, ...change } })
    },
    async storeModel(file) {
      const row = { project, name: 'digits', files: [await upload(file)], signature: {} }
      return (await storage.models.create(row)).id
    },
    async storeSpec(name, spec) {
      const file = join(folder, `${name}.onnx`)
      await writeFile(file, buildModel(spec))
      return fixture.storeModel(file)
    },
    async storeDataset(file, labels) {
      const schema = { arrays: [], labels }
      const row = { project, name: 'digits', files: [await upload(file)], schema, samples: 1 }
      return (await storage.datasets.create(row)).id
    },
    async submit(modelId, name, recipe, change = {}) {
      const body: Recipe = parseRecipe(recipe)
      const base = { project, modelId, datasets: {}, target, gates: [], queue: 'cpu' }
      const job = await storage.jobs.create({ ...base, recipe: { id: null, name, version: 1, body }, ...change })
      await client.enqueue(job.id, 'cpu')
      return job.id
    },
    async eventsOf(jobId, type) {
      const rows = await storage.events.list(project, jobId, { limit: 5000 })
      return rows.filter((row) => row.type === type)
    },
    async expectNothingLeft({ id, attempt, files, resultModelId }) {
      expect(resultModelId).toBeNull()
      expect(files).toEqual([])
      expect(await jobs.published(id)).toEqual([])
      expect(await storage.jobs.findCheckpoint({ jobId: id, attempt })).toBeUndefined()
      // The worker removes the folder once the child is gone, which may be after the job has ended.
      await expect.poll(async () => readdir(join(dir, 'slot-0')), { timeout: 20_000 }).toEqual(['cache'])
    },
    async close() {
      await jobs.close()
      await database.drop()
      await rm(folder, { recursive: true, force: true })
    },
  }
  return fixture
}

export const finetune = (options: object) => ({ version: 1, steps: [{ pass: 'finetune', options }] })

/** The reasons of a stage's notes, a line each. */
export function notesOf({ stages }: JobDetail, stage = 'train'): string {
  const found = stages.filter(({ name, state }) => name === stage && state === 'succeeded')
  return found.flatMap(({ notes }) => notes.map(({ reason }) => String(reason))).join('\n')
}
