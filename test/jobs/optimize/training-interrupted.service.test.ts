import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { digitsFolder, splitDigits } from '../../support/digits.ts'
import { project } from '../../support/jobs.ts'
import { redisMissing, startRedis } from '../../support/redis.ts'
import { createTrainingFixture, finetune, notesOf, patience, type TrainingFixture } from './training-fixture.ts'

/** Opens what carries the queue, and tells how to end it. */
type OpenQueue = () => Promise<{ readonly redisUrl: string | undefined; stop(): Promise<void> }>

const noRedis = redisMissing()
const queues: [name: string, open: OpenQueue, missing: string | undefined][] = [
  ['Postgres', async () => ({ redisUrl: undefined, stop: async () => undefined }), undefined],
  [
    'Redis',
    async () => {
      const redis = await startRedis()
      return { redisUrl: redis.url, stop: async () => redis.stop() }
    },
    noRedis,
  ],
]

vi.setConfig({ testTimeout: 2 * patience })

for (const [name, open, missing] of queues) {
  const skipped = missing === undefined ? '' : ` (skipped: ${missing})`
  describe.skipIf(missing !== undefined)(`a training that is killed, over ${name}${skipped}`, () => {
    killedSuite(open)
  })
}

interface Place {
  readonly fixture: TrainingFixture
  readonly model: string
  readonly train: string
  readonly held: string
}

async function openPlace(urls: Pick<Awaited<ReturnType<OpenQueue>>, 'redisUrl'>): Promise<Place> {
  const fixture = await createTrainingFixture(urls)
  const files = await splitDigits(fixture.folder)
  const model = await fixture.storeModel(join(digitsFolder, 'digits.onnx'))
  const train = await fixture.storeDataset(files.train, 'labels')
  const held = await fixture.storeDataset(files.held, 'labels')
  await fixture.startWorker()
  return { fixture, model, train, held }
}

/** What must hold whatever carries the queue. */
function killedSuite(open: OpenQueue): void {
  let queue: Awaited<ReturnType<OpenQueue>>
  let place: Place

  beforeAll(async () => {
    queue = await open()
    place = await openPlace(queue)
  })
  afterAll(async () => {
    await place.fixture.close()
    await queue.stop()
  })

  /** Losses by step, as they were told: of every attempt, and not of every step. */
  const curveOf = async (id: string) => {
    const metrics = (await place.fixture.eventsOf(id, 'job.metric')).map(({ data }) => data)
    return metrics.map(({ step, loss, validation_loss }) => ({ step: Number(step), loss, validation_loss }))
  }
  /** Digests of the files of the model that training made, whether or not it became the result. */
  const weightsOf = async (id: string) => {
    const { rows } = await place.fixture.jobs.storage.models.list(project, { jobId: id }, { limit: 10 })
    return rows.flatMap(({ files }) => files.map(({ sha256 }) => sha256))
  }

  test('goes on from its checkpoint after kill -9, and ends where it would have ended, to the bit', async () => {
    const { fixture, model, train, held } = place
    const { jobs } = fixture
    const options = { epochs: 16, seed: 3 }
    const datasets = { train, eval: held }
    const id = await fixture.submit(model, 'killed', finetune(options), { datasets })
    // Its first checkpoint comes long before its last step, and stays until the job has ended.
    const checkpoint = async () => jobs.storage.jobs.findCheckpoint({ jobId: id, attempt: 1 })
    await expect.poll(checkpoint, { timeout: patience, interval: 20 }).toBeDefined()
    process.kill(await jobProcess(), 'SIGKILL')
    const job = await jobs.untilOver(id, patience)
    expect(job).toMatchObject({ state: 'succeeded', attempt: 2 })
    const logs = (await fixture.eventsOf(id, 'job.log')).map(({ data }) => data['message'])
    expect(logs).toContain('training goes on from the checkpoint of an earlier attempt')
    // Another recipe, or its steps would come from the cache.
    const same = finetune({ ...options, frozenNodes: ['nothing'] })
    const whole = await jobs.untilOver(await fixture.submit(model, 'killed', same, { datasets }), patience)
    expect(whole).toMatchObject({ state: 'succeeded', attempt: 1 })
    expect(notesOf(job)).toBe(notesOf(whole))
    const [resumed, uninterrupted] = [await curveOf(id), await curveOf(whole.id)]
    const ends = (curve: typeof resumed) => curve.filter(({ validation_loss }) => validation_loss !== undefined)
    expect(ends(uninterrupted)).toHaveLength(options.epochs)
    const known = new Map(uninterrupted.map((point) => [`${point.step} ${point.validation_loss !== undefined}`, point]))
    const shared = resumed.map((point) => [point, known.get(`${point.step} ${point.validation_loss !== undefined}`)])
    for (const [point, expected] of shared) if (expected !== undefined) expect(point).toEqual(expected)
    expect(new Set(ends(resumed).map(({ step }) => step))).toEqual(new Set(ends(uninterrupted).map(({ step }) => step)))
    expect(await weightsOf(id)).toEqual(await weightsOf(whole.id))
    expect(await weightsOf(id)).not.toEqual([])
    // What it could have gone on from goes with the job.
    expect(await jobs.storage.jobs.findCheckpoint({ jobId: id, attempt: 2 })).toBeUndefined()
  })
}

describe('a training that is ended', () => {
  let place: Place
  beforeAll(async () => {
    place = await openPlace({ redisUrl: undefined })
  })
  afterAll(async () => place.fixture.close())

  /** Far more work than a test waits for. */
  const endless = finetune({ epochs: 1000, batch: 8 })
  const untilTraining = async (id: string) => {
    const isTraining = async () => (await place.fixture.jobs.find(id)).progress?.unit
    await expect.poll(isTraining, { timeout: patience, interval: 100 }).toBe('steps')
  }

  test('by a cancel, and by its deadline, says so and keeps nothing', async () => {
    const { fixture, model, train } = place
    const { jobs } = fixture
    const startedAt = Date.now()
    const canceled = await fixture.submit(model, 'endless', endless, { datasets: { train } })
    await untilTraining(canceled)
    // As long as this machine takes to come to the training, and much more.
    const deadlineMs = 5_000 + 3 * (Date.now() - startedAt)
    await jobs.storage.jobs.requestCancel(project, canceled, 'enough')
    const job = await jobs.untilOver(canceled, patience)
    expect(job).toMatchObject({ state: 'canceled' })
    await fixture.expectNothingLeft(job)
    const deadlineAt = new Date(Date.now() + deadlineMs)
    const id = await fixture.submit(model, 'endless', endless, { datasets: { train }, deadlineAt })
    const late = await jobs.untilOver(id, patience)
    expect(late).toMatchObject({ state: 'failed', stage: 'train', error: { code: 'job_deadline' } })
    await fixture.expectNothingLeft(late)
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
