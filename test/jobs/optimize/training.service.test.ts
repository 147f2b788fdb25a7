import { createReadStream } from 'node:fs'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { openDataset, tensorOf, writeNpz } from '../../../src/engine/index.ts'
import { builtinRecipes, parseRecipe, type Recipe } from '../../../src/engine/schemas.ts'
import { childEntry } from '../../../src/jobs/capped-child.ts'
import type { JobChildSettings } from '../../../src/jobs/optimize/settings.ts'
import type { JobDetail, JobEventRow, NewJob } from '../../../src/storage/index.ts'
import { digitsFolder, splitDigits } from '../../support/digits.ts'
import { createJobsFixture, project, type JobsFixture } from '../../support/jobs.ts'
import { workerDeps } from '../../support/job-worker.ts'
import { createTestDatabase, type TestDatabase } from '../../support/postgres.ts'

/** On a machine that does other work besides. */
const patience = 150_000
const target = { device: 'cpu', threads: 1, batch: 1, host: null, labels: {} }

let database: TestDatabase
let jobs: JobsFixture
let folder: string
let model: string
let train: string
let held: string
let unlabelled: string

vi.setConfig({ testTimeout: 2 * patience })

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hasten-training-'))
  database = await createTestDatabase()
  const { connectionString } = database
  jobs = await createJobsFixture({ connectionString, redisUrl: undefined })
  const files = await splitDigits(folder)
  model = await storeModel(join(digitsFolder, 'digits.onnx'))
  train = await storeDataset(files.train, 'labels')
  held = await storeDataset(files.held, 'labels')
  unlabelled = await storeDataset(files.unlabelled, null)
  await startWorker()
})
afterAll(async () => {
  await jobs.close()
  await database.drop()
  await rm(folder, { recursive: true, force: true })
})

/** One worker whose children do real work. */
async function startWorker() {
  const { connectionString } = database
  const settings: JobChildSettings = {
    connectionString,
    runtime: 'ort',
    logLevel: 'warn',
    cacheBytes: 2 ** 28,
    measureBudgetMs: 300,
    checkpointMs: 100,
    isa: ['avx512_vnni'],
  }
  const { dir } = jobs
  const { attempt } = workerDeps(jobs.storage, jobs.backend, { connectionString, redisUrl: undefined, dir })
  const entry = childEntry(import.meta.url, '../../../src/roles/job-child')
  const change = { entry, leaseMs: 10_000, memoryBytes: 2 ** 31, childSettings: settings, slotsDir: dir }
  return jobs.startWorker({ slots: 1, attempt: { ...attempt, ...change } })
}

async function upload(file: string) {
  return {
    name: basename(file),
    ...(await jobs.storage.artifacts.write(createReadStream(file), { maxBytes: 2 ** 30 })),
  }
}

async function storeModel(file: string): Promise<string> {
  const files = [await upload(file)]
  return (await jobs.storage.models.create({ project, name: 'digits', files, signature: {} })).id
}

async function storeDataset(file: string, labels: string | null): Promise<string> {
  const row = { project, name: 'digits', files: [await upload(file)], schema: { arrays: [], labels }, samples: 1 }
  return (await jobs.storage.datasets.create(row)).id
}

async function submit(name: string, recipe: object, change: Partial<NewJob> = {}): Promise<string> {
  const body: Recipe = parseRecipe(recipe)
  const base = { project, modelId: model, datasets: {}, target, gates: [], queue: 'cpu' }
  const job = await jobs.storage.jobs.create({ ...base, recipe: { id: null, name, version: 1, body }, ...change })
  await jobs.client.enqueue(job.id, 'cpu')
  return job.id
}

const finetune = (options: object) => ({ version: 1, steps: [{ pass: 'finetune', options }] })
/** Far more work than a test waits for. */
const endless = finetune({ epochs: 1000, batch: 8 })

async function eventsOf(jobId: string, type: JobEventRow['type']): Promise<JobEventRow[]> {
  const rows = await jobs.storage.events.list(project, jobId, { limit: 5000 })
  return rows.filter((row) => row.type === type)
}

function stagesOf({ stages }: JobDetail): string {
  return stages.map(({ name }) => name).join(' ')
}

function notesOf({ stages }: JobDetail, stage = 'train'): string {
  const found = stages.filter(({ name, state }) => name === stage && state === 'succeeded')
  return found.flatMap(({ notes }) => notes.map(({ reason }) => String(reason))).join('\n')
}

describe('a job that trains', () => {
  test('prunes, fine-tunes, proves the result, and tells how the loss went', async () => {
    const id = await submit('prune-finetune', builtinRecipes['prune-finetune'], {
      datasets: { train, eval: held },
      gates: ['top1 >= baseline - 0.05', 'size <= 0.8 * baseline'],
    })
    const job = await jobs.untilOver(id, patience)
    expect(job.error).toBeNull()
    expect(stagesOf(job)).toBe('admit simplify optimize train verify measure package')
    expect(notesOf(job)).toMatch(/updates in 5 epochs.*accuracy [\d.]+ → .*accuracy (1|0\.[89])/)
    expect(job).toMatchObject({ state: 'succeeded', verdict: { passed: true, candidate: 'prune-finetune' } })
    const metrics = (await eventsOf(id, 'job.metric')).map(({ data }) => data)
    expect(metrics[0]).toMatchObject({
      stage: 'train',
      steps: 25,
      loss: expect.any(Number),
      eta_ms: expect.any(Number),
    })
    const epochs = metrics.filter((data) => 'validation_loss' in data)
    expect(epochs.map(({ step }) => step)).toEqual([5, 10, 15, 20, 25])
    expect(epochs.at(-1)).toMatchObject({ metric: expect.any(Number), eta_ms: 0 })
    const progress = (await eventsOf(id, 'job.progress')).map(({ data }) => data)
    expect(progress).toContainEqual({ stage: 'train', done: 25, total: 25, unit: 'steps' })
  })

  test('learns from the original where nothing is labelled, then becomes int8', async () => {
    const id = await submit('prune-distill-int8', builtinRecipes['prune-distill-int8'], {
      datasets: { calibration: unlabelled, eval: held },
      gates: ['top1 >= baseline - 0.05', 'size <= 0.4 * baseline'],
    })
    const job = await jobs.untilOver(id, patience)
    expect(job.error).toBeNull()
    expect(stagesOf(job)).toBe('admit simplify optimize train calibrate optimize verify measure package')
    // Pruning fits what is left to the samples, so that there may be nothing to gain: then the weights stay.
    expect(notesOf(job)).toMatch(/updates in 5 epochs.*agreement (1|0\.[89])/)
    expect(notesOf(job)).toContain('learned from original at temperature 4; no labels were used')
    expect(job.verdict).toMatchObject({ passed: true })
  })

  test('makes a student of half the width, taught by the original', async () => {
    const id = await submit('distill-small', builtinRecipes['distill-small'], {
      datasets: { calibration: unlabelled, eval: held },
      gates: ['size <= 0.7 * baseline'],
    })
    const job = await jobs.untilOver(id, patience)
    expect(job.error).toBeNull()
    expect(stagesOf(job)).toBe('admit simplify optimize train verify measure package')
    expect(notesOf(job, 'optimize')).toMatch(/\d+ channels became \d+/)
    expect(notesOf(job)).toContain('learned from original at temperature 4; no labels were used')
    expect(job.verdict).toMatchObject({ passed: true, candidate: 'distill-small' })
  })

  test('trains weights with the rounding in the graph, and exports them as int8', async () => {
    const id = await submit('qat-int8', builtinRecipes['qat-int8'], {
      datasets: { train, calibration: unlabelled, eval: held },
      gates: ['top1 >= baseline - 0.05', 'size <= 0.4 * baseline'],
    })
    const job = await jobs.untilOver(id, patience)
    expect(job.error).toBeNull()
    expect(stagesOf(job)).toContain('calibrate')
    expect(stagesOf(job)).toContain('train')
    expect(notesOf(job)).toMatch(/updates in \d+ epochs/)
    expect(job.verdict).toMatchObject({ passed: true, candidate: 'qat-int8' })
  })

  test('learns from an uploaded teacher', async () => {
    const steps = [{ pass: 'distill', options: { teachers: [model, 'original'], alpha: 0.5, maxSteps: 3 } }]
    const id = await submit('taught', { version: 1, steps }, { datasets: { train, eval: held } })
    const job = await jobs.untilOver(id, patience)
    expect(job.error).toBeNull()
    expect(notesOf(job)).toContain(`learned from ${model}, original at temperature 4; labels weigh 0.5`)
  })
})

describe('a training that is broken off', () => {
  test(
    'goes on from its checkpoint after kill -9, and ends where it would have ended',
    { timeout: 120_000 },
    async () => {
      const recipe = finetune({ epochs: 4, seed: 3 })
      const id = await submit('killed', recipe, { datasets: { train, eval: held } })
      await jobs.until(id, ({ progress }) => (progress?.done ?? 0) >= 6 && progress?.unit === 'steps')
      await expect.poll(async () => jobs.storage.jobs.findCheckpoint({ jobId: id, attempt: 1 })).toBeDefined()
      process.kill(await jobProcess(), 'SIGKILL')
      const job = await jobs.untilOver(id, patience)
      expect(job).toMatchObject({ state: 'succeeded', attempt: 2 })
      const logs = (await eventsOf(id, 'job.log')).map(({ data }) => data['message'])
      expect(logs).toContain('training goes on from the checkpoint of an earlier attempt')
      const whole = await jobs.untilOver(
        await submit('whole', finetune({ epochs: 4, seed: 3, frozenNodes: ['nothing'] }), {
          datasets: { train, eval: held },
        }),
      )
      expect(notesOf(job)).toBe(notesOf(whole))
      // What it could have gone on from goes with the job.
      expect(await jobs.storage.jobs.findCheckpoint({ jobId: id, attempt: 2 })).toBeUndefined()
    },
  )

  test('by a cancel ends, and keeps nothing', async () => {
    const id = await submit('endless', endless, { datasets: { train } })
    await jobs.until(id, ({ progress }) => progress?.unit === 'steps')
    await jobs.storage.jobs.requestCancel(project, id, 'enough')
    expect(await jobs.untilOver(id, patience)).toMatchObject({ state: 'canceled', resultModelId: null })
    expect(await jobs.published(id)).toEqual([])
    expect(await jobs.storage.jobs.findCheckpoint({ jobId: id, attempt: 1 })).toBeUndefined()
  })

  test('by its deadline fails with that', async () => {
    const deadlineAt = new Date(Date.now() + 8_000)
    const id = await submit('endless', endless, { datasets: { train }, deadlineAt })
    const job = await jobs.untilOver(id, patience)
    expect(job).toMatchObject({ state: 'failed', stage: 'train', error: { code: 'job_deadline' } })
  })
})

describe('what a job can not learn from', () => {
  const points = async (change: (labels: bigint[]) => bigint[], count = 64): Promise<string> => {
    const dataset = await openDataset(join(digitsFolder, 'evaluation.npz'))
    const { image } = await dataset.read(0, count)
    await dataset.close()
    const file = join(folder, 'bad.npz')
    const labels = change(Array.from({ length: count }, (_, index) => BigInt(index % 10)))
    await writeNpz(file, { image: image!, labels: tensorOf('int64', [labels.length], BigInt64Array.from(labels)) })
    return storeDataset(file, 'labels')
  }
  const failureOf = async (recipe: object, datasets: NewJob['datasets']) => {
    const job = await jobs.untilOver(await submit('bad', recipe, { datasets }), patience)
    expect(job).toMatchObject({ state: 'failed', attempt: 1, resultModelId: null })
    return job.error
  }

  test('labels out of range are named', async () => {
    const bad = await points((labels) => labels.with(7, 10n))
    expect(await failureOf(finetune({}), { train: bad })).toMatchObject({
      code: 'dataset_mismatch',
      detail: 'label 10 of sample 7 in "labels" is out of range; the model has 10 classes, 0 to 9',
    })
  })

  test('nor a number of labels that is not that of the samples', async () => {
    const bad = await points((labels) => labels.slice(1))
    expect(await failureOf(finetune({}), { train: bad })).toMatchObject({ code: expect.stringMatching(/^dataset_/) })
  })

  test('nor a single sample', async () => {
    const bad = await points((labels) => labels, 1)
    expect(await failureOf(finetune({}), { train: bad })).toMatchObject({
      code: 'dataset_mismatch',
      detail: expect.stringContaining('a single sample'),
    })
  })

  test('a loss that explodes is told from a broken job', async () => {
    const options = { learningRate: 100, clipNorm: 0, optimizer: { kind: 'sgd' }, schedule: { kind: 'constant' } }
    expect(await failureOf(finetune(options), { train })).toMatchObject({
      code: 'training_diverged',
      detail: expect.stringMatching(/^step \d+: /),
    })
  })

  test('a dataset without labels is refused before anything runs', async () => {
    const error = await failureOf(finetune({}), { train: unlabelled })
    expect(error).toMatchObject({ code: 'dataset_needed' })
  })
})

/** The job process of this worker, which has one slot. */
async function jobProcess(): Promise<number> {
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue
    const [stat, command] = await Promise.all(
      ['stat', 'cmdline'].map(async (file) => readFile(join('/proc', name, file), 'utf8').catch(() => '')),
    )
    const [, parent] = /\) \S (\d+) /.exec(stat ?? '') ?? []
    if (Number(parent) === process.pid && command?.includes('job-child') === true) return Number(name)
  }
  throw new Error('there is no job process')
}
