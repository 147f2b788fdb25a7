import { createPostgresBackend, DelayedError, Queue, UnrecoverableError, Worker, type Job } from 'bullmq'
import type { Static } from 'typebox'
import { Value } from 'typebox/value'
import type { Logger } from '../telemetry.ts'
import { jobContracts } from './contracts.ts'

/** The kind of work the queues carry. */
const queued = jobContracts.optimize

/** All a queue message carries. */
export type QueueMessage = Static<typeof queued.payload>

export interface QueueHandle {
  add(id: string, message: QueueMessage, delayMs: number): Promise<void>
  counts(): Promise<{ waiting: number; active: number }>
  /** When the longest waiting message was added; undefined when none waits. */
  oldestWaitingAt(): Promise<number | undefined>
  close(): Promise<void>
}

/** What a consumer answers: the message is used up, or goes back for another host after a moment. */
export type Delivery = 'done' | { readonly retryInMs: number }

export interface ConsumerHandle {
  pause(): Promise<void>
  resume(): Promise<void>
  ready(): Promise<unknown>
  /** Stops fetching and waits for deliveries in progress; `force` doesn't wait. */
  close(force?: boolean): Promise<void>
}

interface ConsumerOptions {
  readonly concurrency: number
  /** A delivery whose lock isn't renewed for this long goes to another consumer. */
  readonly lockMs: number
  /** Wait before fetching again after a connection error. */
  readonly reconnectMs: number
}

/** One queue implementation as a value: everything above it runs the same on Redis and on Postgres. */
export interface QueueBackend {
  readonly name: 'redis' | 'postgres'
  openQueue(queue: string): QueueHandle
  openConsumer(
    queue: string,
    deliver: (message: QueueMessage) => Promise<Delivery>,
    options: ConsumerOptions,
  ): ConsumerHandle
}

export interface QueueBackendOptions {
  /** Redis is used when it is given; the database's own queue tables otherwise. */
  readonly redisUrl?: string | undefined
  readonly connectionString: string
  /** Key prefix on Redis, `<prefix>_queue` the schema on Postgres: several installations may share one server. */
  readonly prefix: string
  readonly logger: Logger
}

export function createQueueBackend(options: QueueBackendOptions): QueueBackend {
  return options.redisUrl === undefined ? createPostgresQueues(options) : createRedisQueues(options, options.redisUrl)
}

function createRedisQueues({ prefix, logger }: QueueBackendOptions, url: string): QueueBackend {
  const retryStrategy = (times: number) => Math.min(times * 100, 2_000)
  // Producers answer a client and must fail fast; a consumer waits for as long as Redis is away.
  const producer = { url, retryStrategy, maxRetriesPerRequest: 1, connectTimeout: 5_000 }
  const consumer = { url, retryStrategy, maxRetriesPerRequest: null }
  return {
    name: 'redis',
    openQueue: (queue) => queueHandle(new Queue(queue, { connection: producer, prefix }), logger),
    openConsumer: (queue, deliver, options) =>
      consumerHandle(
        new Worker(queue, deliverer(deliver), { connection: consumer, prefix, ...workerOptions(options) }),
        logger,
      ),
  }
}

function createPostgresQueues({ connectionString, prefix, logger }: QueueBackendOptions): QueueBackend {
  // Never a schema that bears a user's name: it would come before `public` in that user's search path.
  const connection = { connectionString, migrate: true, schema: `${prefix}_queue`, max: 2 }
  return {
    name: 'postgres',
    openQueue: (queue) => queueHandle(new Queue(queue, { connection }, createPostgresBackend), logger),
    openConsumer: (queue, deliver, options) =>
      consumerHandle(
        new Worker(queue, deliverer(deliver), { connection, ...workerOptions(options) }, createPostgresBackend),
        logger,
      ),
  }
}

// The row decides what happens to a job; the queue keeps nothing, so that an id can be added again after it was used up.
const keepNothing = { removeOnComplete: true, removeOnFail: true } as const

function workerOptions({ concurrency, lockMs, reconnectMs }: ConsumerOptions) {
  return {
    concurrency,
    lockDuration: lockMs,
    stalledInterval: lockMs,
    maxStalledCount: 1_000,
    runRetryDelay: reconnectMs,
    removeOnComplete: { count: 0 },
    removeOnFail: { count: 0 },
  }
}

function deliverer(deliver: (message: QueueMessage) => Promise<Delivery>) {
  return async (job: Job, token?: string) => {
    const message: unknown = job.data
    if (job.name !== queued.name || !Value.Check(queued.payload, message)) {
      throw new UnrecoverableError(`a message of another version: ${job.name}`)
    }
    const delivery = await deliver(message)
    if (delivery === 'done') return
    await job.moveToDelayed(Date.now() + delivery.retryInMs, token)
    throw new DelayedError()
  }
}

type AnyQueue = Pick<Queue, 'add' | 'getJobCounts' | 'getWaiting' | 'close' | 'name'> & {
  on(event: 'error', listener: (error: Error) => void): unknown
}

function queueHandle(queue: AnyQueue, logger: Logger): QueueHandle {
  queue.on('error', (error) => logger.warn({ err: error, queue: queue.name }, 'queue connection error'))
  return {
    async add(id, message, delayMs) {
      await queue.add(queued.name, message, { jobId: id, delay: delayMs, ...keepNothing })
    },
    async counts() {
      const counts = await queue.getJobCounts('waiting', 'prioritized', 'delayed', 'active')
      const { waiting = 0, prioritized = 0, delayed = 0, active = 0 } = counts
      return { waiting: waiting + prioritized + delayed, active }
    },
    async oldestWaitingAt() {
      const [oldest] = await queue.getWaiting(0, 0)
      return oldest?.timestamp
    },
    close: async () => queue.close(),
  }
}

type AnyWorker = Pick<Worker, 'pause' | 'resume' | 'close' | 'waitUntilReady' | 'name'> & {
  on(event: 'error', listener: (error: Error) => void): unknown
  on(event: 'failed', listener: (job: unknown, error: Error) => void): unknown
}

function consumerHandle(worker: AnyWorker, logger: Logger): ConsumerHandle {
  worker.on('error', (error) => logger.warn({ err: error, queue: worker.name }, 'queue connection error'))
  worker.on('failed', (_, error) => logger.error({ err: error, queue: worker.name }, 'queue message given up'))
  return {
    pause: async () => worker.pause(true),
    resume: async () => worker.resume(),
    ready: async () => worker.waitUntilReady(),
    close: async (force) => worker.close(force),
  }
}
