import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { HastenError } from '../../../src/errors.ts'
import { createRecorder, type Recorder } from '../../../src/jobs/optimize/recorder.ts'
import { SupersededError } from '../../../src/jobs/optimize/superseded.ts'
import type { Fence, JobEventRow } from '../../../src/storage/index.ts'
import { createJobsFixture, project, type JobsFixture } from '../../support/jobs.ts'
import { testLogger } from '../../support/job-worker.ts'
import { createTestDatabase, type TestDatabase } from '../../support/postgres.ts'

let database: TestDatabase
let jobs: JobsFixture
let fence: Fence
let stop: AbortController
let recorder: Recorder

beforeAll(async () => {
  database = await createTestDatabase()
  jobs = await createJobsFixture({ connectionString: database.connectionString, redisUrl: undefined })
})
afterAll(async () => {
  await jobs.close()
  await database.drop()
})
beforeEach(async () => {
  const jobId = await jobs.store([[]])
  const claimed = await jobs.storage.jobs.claim({ jobId, hostId: 'hst_1', leaseMs: 60_000 })
  fence = claimed!.fence
  stop = new AbortController()
  recorder = createRecorder({ storage: jobs.storage, fence, signal: stop.signal, logger: testLogger, progressMs: 20 })
})

const stages = async () => (await jobs.find(fence.jobId)).stages.map(({ name, state }) => [name, state])
async function events(type: JobEventRow['type']): Promise<JobEventRow[]> {
  const rows = await jobs.storage.events.list(project, fence.jobId, { limit: 200 })
  return rows.filter((row) => row.type === type)
}

describe('a stage', () => {
  test('is written with its end and its notes', async () => {
    const notes = [{ action: 'done', reason: 'folded' }]
    expect(await recorder.stage('simplify', async () => ({ value: 7, notes }))).toBe(7)
    const { stages } = await jobs.find(fence.jobId)
    expect(stages).toMatchObject([{ name: 'simplify', state: 'succeeded', notes }])
  })

  test('that fails says so and hands its error on', async () => {
    const work = async () => {
      throw new HastenError('pass_failed', 'node 3')
    }
    await expect(recorder.stage('optimize', work)).rejects.toMatchObject({ code: 'pass_failed' })
    expect(await stages()).toEqual([['optimize', 'failed']])
  })

  test('does not begin after a stop', async () => {
    stop.abort(new HastenError('job_canceled', 'stop'))
    await expect(recorder.stage('measure', async () => ({ value: 1 }))).rejects.toMatchObject({ code: 'job_canceled' })
    expect(await stages()).toEqual([])
  })

  test('that is stopped ends as canceled, whatever it threw', async () => {
    const work = async () => {
      stop.abort(new HastenError('job_canceled', 'stop'))
      throw new Error('the run was interrupted')
    }
    await expect(recorder.stage('measure', work)).rejects.toMatchObject({ code: 'job_canceled' })
    expect(await stages()).toEqual([['measure', 'canceled']])
  })

  test('of an attempt that lost its job ends the attempt', async () => {
    await jobs.storage.jobs.requeue(fence, { reason: 'test', notBefore: new Date() })
    let worked = false
    const work = async () => {
      worked = true
      return { value: 1 }
    }
    await expect(recorder.stage('measure', work)).rejects.toThrow(SupersededError)
    await expect(recorder.warn({ code: 'x', hint: 'y' })).rejects.toThrow(SupersededError)
    expect(worked).toBe(false)
  })
})

test('of many steps of progress the last is kept, in few events', async () => {
  await recorder.stage('calibrate', async () => {
    for (let done = 1; done <= 500; done += 1) recorder.progress(done, 500, 'samples')
    return { value: undefined }
  })
  expect(await jobs.find(fence.jobId)).toMatchObject({ progress: { done: 500, total: 500, unit: 'samples' } })
  expect((await events('job.progress')).length).toBeLessThan(5)
})

test('of a training every end of an epoch is an event, and of the updates between them few are', async () => {
  const at = { steps: 600, epochs: 3, learningRate: 0.01, etaMs: 1234.5 }
  await recorder.stage('train', async () => {
    for (let step = 1; step <= 600; step += 1) {
      const epoch = Math.ceil(step / 200)
      recorder.training({ ...at, step, epoch, loss: 1 / step })
      const isEnd = step % 200 === 0
      if (isEnd)
        recorder.training({ ...at, step, epoch, loss: 0.5, validationLoss: 0.25, metric: 0.9, metricName: 'accuracy' })
    }
    return { value: undefined }
  })
  const metrics = (await events('job.metric')).map(({ data }) => data)
  const ends = metrics.filter((data) => 'validation_loss' in data)
  expect(ends.map(({ epoch, step }) => [epoch, step])).toEqual([
    [1, 200],
    [2, 400],
    [3, 600],
  ])
  expect(metrics.length).toBeLessThan(10)
  expect(metrics.at(-1)).toEqual({
    stage: 'train',
    step: 600,
    steps: 600,
    epoch: 3,
    epochs: 3,
    loss: 0.5,
    learning_rate: 0.01,
    validation_loss: 0.25,
    metric: 0.9,
    metric_name: 'accuracy',
    eta_ms: 1235,
  })
})

test('log lines become events', async () => {
  recorder.log('hello')
  await expect.poll(async () => (await events('job.log')).map(({ data }) => data['message'])).toEqual(['hello'])
})
