import { fork, type ChildProcess } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect } from 'vitest'
import { openQueueClient, type QueueClient } from '../../src/jobs/client.ts'
import { createJobMetrics, type JobMetrics } from '../../src/jobs/metrics.ts'
import { createQueueBackend, type QueueBackend } from '../../src/jobs/queue-backend.ts'
import { reconcile, type ReconcilerDeps } from '../../src/jobs/reconciler.ts'
import { startWorker, type Worker, type WorkerDeps } from '../../src/jobs/worker.ts'
import { openStorage, type JobDetail, type NewJob, type Storage } from '../../src/storage/index.ts'
import { createMetrics } from '../../src/telemetry.ts'
import type { Script } from '../jobs/children/script.ts'
import { compileCache, testLogger, workerDeps, type BackendUrls, type TestPlace } from './job-worker.ts'

export const project = 'default'

export interface JobsFixture {
  readonly storage: Storage
  readonly backend: QueueBackend
  readonly client: QueueClient
  readonly metrics: JobMetrics
  readonly modelId: string
  /** Removed at the end. */
  readonly dir: string
  /** Stores a job that runs a script, without telling the queue. */
  store(script: Script, change?: Partial<NewJob>): Promise<string>
  /** The same, and tells the queue. */
  submit(script: Script, change?: Partial<NewJob>): Promise<string>
  startWorker(change?: Partial<WorkerDeps>): Promise<Worker>
  /** A worker in a process of its own, to be killed. */
  forkWorker(slots?: number): Promise<ChildProcess>
  reconcile(change?: Partial<ReconcilerDeps>): Promise<void>
  find(jobId: string): Promise<JobDetail>
  /** Waits until a job is as described. */
  until(jobId: string, wanted: (job: JobDetail) => boolean): Promise<JobDetail>
  /** Waits until a job is over, putting right what has to be put right meanwhile. */
  untilOver(jobId: string, timeoutMs?: number): Promise<JobDetail>
  /** Names of the models a job has published. */
  published(jobId: string): Promise<string[]>
  /** Ends everything that the fixture started. */
  close(): Promise<void>
}

const overStates = new Set(['succeeded', 'failed', 'canceled', 'expired'])

export async function createJobsFixture(urls: BackendUrls): Promise<JobsFixture> {
  const { connectionString } = urls
  const place: TestPlace = { ...urls, dir: await mkdtemp(join(tmpdir(), 'hasten-jobs-')) }
  const storage = await openStorage({ connectionString })
  const backend = createQueueBackend({ ...urls, prefix: 'test', logger: testLogger })
  const client = openQueueClient(backend, 5_000)
  const metrics = createJobMetrics(createMetrics())
  const modelId = await storeModel(storage)
  const workers: Worker[] = []
  const processes: ChildProcess[] = []
  const fixture: JobsFixture = {
    storage,
    backend,
    client,
    metrics,
    modelId,
    dir: place.dir,
    async store(script, change = {}) {
      const recipe = { name: 'scripted', body: script }
      const base = { project, modelId, recipe, datasets: {}, target: { device: 'cpu' }, gates: [], queue: 'cpu' }
      return (await storage.jobs.create({ ...base, ...change })).id
    },
    async submit(script, change = {}) {
      const id = await fixture.store(script, change)
      await client.enqueue(id, change.queue ?? 'cpu')
      return id
    },
    async startWorker(change = {}) {
      const worker = await startWorker({ ...workerDeps(storage, backend, place), ...change })
      workers.push(worker)
      return worker
    },
    async forkWorker(slots = 2) {
      const path = fileURLToPath(new URL('../jobs/children/worker.ts', import.meta.url))
      const env = { ...process.env, NODE_COMPILE_CACHE: compileCache }
      const child = fork(path, [], { env, execArgv: [], stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
      processes.push(child)
      child.send({ place, slots })
      await new Promise((resolve) => child.once('message', resolve))
      return child
    },
    reconcile: async (change = {}) =>
      reconcile({ storage, client, metrics, logger: testLogger, settleMs: 0, ...change }),
    async find(jobId) {
      const job = await storage.jobs.find(project, jobId)
      if (job === undefined) throw new Error(`no job ${jobId}`)
      return job
    },
    async until(jobId, wanted) {
      return poll(async () => fixture.find(jobId), wanted)
    },
    async untilOver(jobId, timeoutMs) {
      return poll(
        async () => {
          await fixture.reconcile()
          return fixture.find(jobId)
        },
        (job) => overStates.has(job.state),
        timeoutMs,
      )
    },
    async published(jobId) {
      const { rows } = await storage.models.list(project, { jobId }, { limit: 10 })
      return rows.map((row) => row.name)
    },
    async close() {
      for (const child of processes) child.kill('SIGKILL')
      await Promise.all(workers.map(async (worker) => worker.close()))
      await client.close()
      await storage.close()
      await rm(place.dir, { recursive: true, force: true })
    },
  }
  return fixture
}

async function storeModel(storage: Storage): Promise<string> {
  const source = [new TextEncoder().encode('stands for a model')]
  const blob = await storage.artifacts.write(toAsync(source), { maxBytes: 100 })
  const files = [{ name: 'model.onnx', ...blob }]
  return (await storage.models.create({ project, name: 'model', files, signature: {} })).id
}

async function* toAsync<T>(items: Iterable<T>): AsyncIterable<T> {
  yield* items
}

async function poll<T>(read: () => Promise<T>, wanted: (value: T) => boolean, timeout = 40_000): Promise<T> {
  let last: T | undefined
  const check = async () => {
    last = await read().catch((error: unknown) => {
      // Tests that restart the database ask again.
      if ((error as { code?: unknown }).code !== 'unavailable') throw error
      return undefined
    })
    return last !== undefined && wanted(last)
  }
  await expect.poll(check, { timeout, interval: 100 }).toBe(true)
  return last as T
}
