import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { optimizeStages } from '../../src/jobs/optimize/contract.ts'
import { hostQueue } from '../../src/jobs/queues.ts'
import { newId } from '../../src/storage/index.ts'
import { testInventory, type BackendUrls } from '../support/job-worker.ts'
import { createJobsFixture, project, type JobsFixture } from '../support/jobs.ts'
import { createTestDatabase, type TestDatabase } from '../support/postgres.ts'
import type { Script, Step } from './children/script.ts'

const publish: Step = { do: 'publish' }
const stage = (name: string): Step => ({ do: 'stage', name })
/** Holds a stage until it is told to stop. */
const holding: Script = [[stage('measure'), { do: 'hang' }], [publish]]

/** What must hold of jobs whatever carries the queue. */
export function queueSuite(open: () => Promise<Pick<BackendUrls, 'redisUrl'>>): void {
  let database: TestDatabase
  let urls: BackendUrls
  let jobs: JobsFixture
  beforeAll(async () => {
    database = await createTestDatabase()
    urls = { connectionString: database.connectionString, ...(await open()) }
  })
  afterAll(async () => database.drop())
  beforeEach(async () => {
    jobs = await createJobsFixture(urls)
  })
  afterEach(async () => jobs.close())

  const attemptsOf = async (id: string) =>
    (await jobs.find(id)).attempts.map(({ state, reason }) => ({ state, reason }))

  describe('a job', () => {
    test('is claimed once, however often and by however many it is offered', async () => {
      const id = await jobs.store([[{ do: 'pause', ms: 200 }, publish]])
      await Promise.all([1, 2, 3].map(async () => jobs.client.enqueue(id, 'cpu')))
      await jobs.client.enqueue(id, 'cpu', { attempt: 7 })
      await Promise.all([jobs.startWorker(), jobs.startWorker()])
      expect(await jobs.untilOver(id)).toMatchObject({ state: 'succeeded', attempt: 1 })
      expect(await jobs.published(id)).toEqual(['result-1'])
    })

    test('runs once each when two workers compete for many', async () => {
      const ids = await Promise.all(Array.from({ length: 4 }, async () => jobs.submit([[publish]])))
      const workers = await Promise.all([jobs.startWorker({ slots: 1 }), jobs.startWorker({ slots: 1 })])
      for (const id of ids) expect(await jobs.untilOver(id)).toMatchObject({ state: 'succeeded', attempt: 1 })
      const hosts = new Set(await Promise.all(ids.map(async (id) => (await jobs.find(id)).hostId)))
      expect(hosts.size).toBe(workers.length)
    })

    test('fails at once for a reason of its own', async () => {
      const id = await jobs.submit([[stage('admit'), { do: 'fail', code: 'model_invalid' }]])
      await jobs.startWorker()
      const job = await jobs.untilOver(id)
      expect(job).toMatchObject({ state: 'failed', attempt: 1, error: { code: 'model_invalid' } })
    })

    test('is tried again, after a pause, when the infrastructure failed', async () => {
      const id = await jobs.submit([[{ do: 'fail', code: 'internal' }], [publish]])
      await jobs.startWorker()
      expect(await jobs.untilOver(id)).toMatchObject({ state: 'succeeded', attempt: 2 })
      expect(await attemptsOf(id)).toMatchObject([{ state: 'failed' }, { state: 'succeeded' }])
    })

    test('fails with the last reason when its attempts are used up', async () => {
      const id = await jobs.submit([[{ do: 'crash' }]], { maxAttempts: 2 })
      await jobs.startWorker()
      const job = await jobs.untilOver(id)
      expect(job).toMatchObject({ state: 'failed', attempt: 2, error: { code: 'child_crashed' } })
      expect(job.error?.detail).toContain('SIGABRT')
    })

    test('whose process takes too much memory fails with a code, and is not tried again', async () => {
      const id = await jobs.submit([[stage('optimize'), { do: 'hog' }]])
      await jobs.startWorker()
      const job = await jobs.untilOver(id)
      expect(job).toMatchObject({ state: 'failed', attempt: 1, error: { code: 'model_out_of_memory' } })
    })

    test('whose process sends rubbish is taken from it', async () => {
      const id = await jobs.submit([[{ do: 'rubbish' }], [publish]])
      await jobs.startWorker()
      expect(await jobs.untilOver(id)).toMatchObject({ state: 'succeeded', attempt: 2 })
    })
  })

  describe('cancel', () => {
    test('of a queued job ends it before it starts', async () => {
      const id = await jobs.submit([[publish]])
      await jobs.storage.jobs.requestCancel(project, id, 'changed my mind')
      await jobs.startWorker()
      expect(await jobs.untilOver(id)).toMatchObject({ state: 'canceled', attempt: 0 })
      const later = await jobs.submit([[publish]])
      await jobs.untilOver(later)
      expect(await jobs.published(id)).toEqual([])
    })

    test.each([
      ['in a stage', [stage('measure'), { do: 'hang' }]],
      ['between stages', [stage('admit'), { do: 'pause', ms: 300 }, stage('measure'), { do: 'pause', ms: 60_000 }]],
      ['that ignores SIGTERM', [stage('measure'), { do: 'ignore' }]],
    ] as [string, Step[]][])('of a running job %s ends its process', async (_, steps) => {
      const id = await jobs.submit([steps, [publish]])
      const worker = await jobs.startWorker()
      await jobs.until(id, ({ stage }) => stage !== null)
      await jobs.storage.jobs.requestCancel(project, id, 'enough')
      expect(await jobs.untilOver(id)).toMatchObject({ state: 'canceled', attempt: 1 })
      await expect.poll(() => worker.currentJobs()).toEqual([])
      expect(await jobs.published(id)).toEqual([])
    })
  })

  describe('a deadline', () => {
    test('that passes in the queue makes a job expire', async () => {
      const id = await jobs.submit([[publish]], { deadlineAt: new Date(Date.now() - 1) })
      await jobs.reconcile()
      await jobs.startWorker()
      expect(await jobs.untilOver(id)).toMatchObject({ state: 'expired', attempt: 0 })
    })

    test('that passes while a job runs ends it', async () => {
      const id = await jobs.submit(holding, { deadlineAt: new Date(Date.now() + 2_500) })
      await jobs.startWorker()
      expect(await jobs.untilOver(id)).toMatchObject({ state: 'failed', error: { code: 'job_deadline' } })
    })
  })

  describe('kill -9', () => {
    test('of the job process at every stage: tried again and again, published once', async () => {
      const dying = optimizeStages.map((name): Step[] => [stage(name), { do: 'die' }])
      const attempts = dying.length + 1
      const id = await jobs.submit([...dying, [publish]], { maxAttempts: attempts })
      await jobs.startWorker()
      const job = await jobs.untilOver(id)
      expect(job).toMatchObject({ state: 'succeeded', attempt: attempts })
      expect(job.stages.map(({ name }) => name)).toEqual(optimizeStages)
      expect(await jobs.published(id)).toEqual([`result-${attempts}`])
    })

    test('of the job process after it published: not tried again', async () => {
      const id = await jobs.submit([[publish, { do: 'die' }]])
      const worker = await jobs.startWorker()
      expect(await jobs.untilOver(id)).toMatchObject({ state: 'succeeded', attempt: 1 })
      await expect.poll(() => worker.currentJobs()).toEqual([])
      await jobs.reconcile()
      expect(await jobs.find(id)).toMatchObject({ state: 'succeeded', attempt: 1 })
    })

    test('of the worker at every stage: its jobs are taken back and published once', async () => {
      const doomed = (name: string): Step[] => [stage(name), { do: 'pause', ms: 60_000 }]
      const ids = await Promise.all(optimizeStages.map(async (name) => jobs.submit([doomed(name), [publish]])))
      const worker = await jobs.forkWorker(ids.length)
      for (const id of ids) await jobs.until(id, ({ stage }) => stage !== null)
      worker.kill('SIGKILL')
      await jobs.startWorker()
      for (const id of ids) {
        expect(await jobs.untilOver(id)).toMatchObject({ state: 'succeeded', attempt: 2 })
        expect(await jobs.published(id)).toEqual(['result-2'])
      }
      expect(await attemptsOf(ids[0]!)).toMatchObject([{ state: 'lost' }, { state: 'succeeded' }])
    })

    test('of worker and job process together, in the middle of a stage', async () => {
      const id = await jobs.submit([[stage('optimize'), { do: 'kill-worker' }], [publish]])
      await jobs.forkWorker()
      await jobs.until(id, ({ stage }) => stage === 'optimize')
      await jobs.startWorker()
      expect(await jobs.untilOver(id)).toMatchObject({ state: 'succeeded', attempt: 2 })
      expect(await jobs.published(id)).toEqual(['result-2'])
    })
  })

  test('a worker that stood still and wakes up can not publish', async () => {
    const id = await jobs.submit([[stage('measure'), { do: 'tell' }, { do: 'pause', ms: 500 }, publish], [publish]])
    const worker = await jobs.forkWorker()
    const pids = [worker.pid!, await pidOfJob(jobs, id)]
    for (const pid of pids) process.kill(pid, 'SIGSTOP')
    await jobs.startWorker()
    expect(await jobs.untilOver(id)).toMatchObject({ state: 'succeeded', attempt: 2 })
    for (const pid of pids) process.kill(pid, 'SIGCONT')
    await expect.poll(() => isAlive(pids[1]!), { timeout: 20_000 }).toBe(false)
    expect(await jobs.published(id)).toEqual(['result-2'])
    expect(await jobs.find(id)).toMatchObject({ state: 'succeeded', attempt: 2 })
  })

  describe('the reconciler', () => {
    test('queues a job again that the queue has never heard of', async () => {
      await jobs.startWorker()
      const id = await jobs.store([[publish]])
      expect(await jobs.untilOver(id)).toMatchObject({ state: 'succeeded', attempt: 1 })
    })

    test('leaves a job alone that has only just been stored', async () => {
      await jobs.store([[publish]])
      await jobs.reconcile({ settleMs: 60_000 })
      const [depth] = await jobs.client.depths()
      expect(depth).toMatchObject({ deviceClass: 'cpu', depth: 0 })
    })

    test('fails a job that asks for a device no live host has offered for a while', async () => {
      await jobs.startWorker()
      const id = await jobs.submit([[publish]], { queue: 'cuda', target: { device: 'cuda' } })
      const lost = await jobs.submit([[publish]], { queue: hostQueue(newId('hst')) })
      await jobs.reconcile({ deviceWaitMs: 60_000 })
      expect(await jobs.find(id)).toMatchObject({ state: 'queued' })
      await new Promise((resolve) => setTimeout(resolve, 20))
      await jobs.reconcile({ deviceWaitMs: 10 })
      for (const job of [id, lost]) {
        expect(await jobs.find(job)).toMatchObject({ state: 'failed', error: { code: 'device_unavailable' } })
      }
    })
  })

  describe('a worker', () => {
    test('tells of itself and of what it does', async () => {
      const hostId = newId('hst')
      await jobs.startWorker({ hostId, labels: { rack: '7' } })
      const id = await jobs.submit(holding)
      await expect
        .poll(async () => (await jobs.storage.hosts.find(project, hostId))?.currentJobs, { timeout: 20_000 })
        .toEqual([id])
      const host = await jobs.storage.hosts.find(project, hostId)
      expect(host).toMatchObject({ slots: 2, labels: { rack: '7' }, queues: ['cpu', hostQueue(hostId)] })
      expect(host?.inventory).toMatchObject({ cpu: testInventory.cpu })
    })

    test('takes the jobs that are pinned to it, and no others', async () => {
      const hostId = newId('hst')
      await jobs.startWorker()
      await jobs.startWorker({ hostId })
      const id = await jobs.submit([[publish]], { queue: hostQueue(hostId) })
      expect(await jobs.untilOver(id)).toMatchObject({ state: 'succeeded', hostId })
    })

    test('that drains finishes what it has and takes no more', async () => {
      const worker = await jobs.startWorker()
      const id = await jobs.submit([[stage('measure'), { do: 'pause', ms: 500 }, publish]])
      await jobs.until(id, ({ stage }) => stage === 'measure')
      const drained = worker.drain()
      const later = await jobs.submit([[publish]])
      await drained
      expect(await jobs.find(id)).toMatchObject({ state: 'succeeded', attempt: 1 })
      expect(await jobs.find(later)).toMatchObject({ state: 'queued' })
    })

    test('takes no more while its host is told to drain, and goes on afterwards', async () => {
      const hostId = newId('hst')
      const worker = await jobs.startWorker({ hostId })
      await jobs.storage.hosts.setDraining(project, hostId, true)
      await expect.poll(() => worker.isOpen(), { timeout: 20_000 }).toBe(false)
      const id = await jobs.submit([[publish]])
      await jobs.client.enqueue(id, 'cpu')
      expect(await jobs.find(id)).toMatchObject({ state: 'queued' })
      await jobs.storage.hosts.setDraining(project, hostId, false)
      expect(await jobs.untilOver(id)).toMatchObject({ state: 'succeeded', attempt: 1 })
    })

    test('that is closed gives its jobs back, with as many attempts left', async () => {
      const worker = await jobs.startWorker()
      const id = await jobs.submit(holding, { maxAttempts: 1 })
      await jobs.until(id, ({ stage }) => stage === 'measure')
      await worker.close()
      expect(await jobs.find(id)).toMatchObject({ state: 'queued', attempt: 1 })
      expect(await attemptsOf(id)).toEqual([{ state: 'canceled', reason: 'shutdown' }])
      await jobs.startWorker()
      expect(await jobs.untilOver(id)).toMatchObject({ state: 'succeeded', attempt: 2 })
    })
  })
}

async function pidOfJob(jobs: JobsFixture, id: string): Promise<number> {
  const tell = async () => {
    const events = await jobs.storage.events.list(project, id, { limit: 100 })
    return events.find(({ type }) => type === 'job.log')?.data['pid'] as number | undefined
  }
  await expect.poll(tell, { timeout: 20_000 }).toBeGreaterThan(0)
  return (await tell()) ?? 0
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
