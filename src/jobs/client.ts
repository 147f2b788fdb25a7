import { HastenError, messageOf } from '../errors.ts'
import { createQueueBackend, type QueueBackend, type QueueBackendOptions, type QueueHandle } from './queue-backend.ts'
import { deviceClasses, type DeviceClass } from './queues.ts'

interface EnqueueOptions {
  /** Attempts the job has used up: a job is in the queue at most once per attempt. */
  readonly attempt?: number
  readonly delayMs?: number
}

interface QueueDepth {
  readonly deviceClass: DeviceClass
  readonly depth: number
  readonly active: number
  /** How long the longest waiting job has waited; null when none waits. */
  readonly oldestWaitMs: number | null
}

/** The producer's side of the queue. */
export interface QueueClient {
  /**
   * Tells the workers of a queue about a job. Adding what is there already does nothing. A job whose row exists but
   * whose message was lost is found by the reconciler, so a caller that has stored the row may log a failure and go on.
   * @throws HastenError `unavailable`
   */
  enqueue(jobId: string, queue: string, options?: EnqueueOptions): Promise<void>
  depths(): Promise<QueueDepth[]>
  close(): Promise<void>
}

export interface QueueClientOptions extends QueueBackendOptions {
  /** Longest wait for the queue's answer. */
  readonly timeoutMs?: number
}

export function createQueueClient(options: QueueClientOptions): QueueClient {
  return openQueueClient(createQueueBackend(options), options.timeoutMs ?? 5_000)
}

/** A client over a backend that is already there. */
export function openQueueClient(backend: QueueBackend, timeoutMs: number): QueueClient {
  const handles = new Map<string, QueueHandle>()
  const handleOf = (queue: string): QueueHandle => {
    const handle = handles.get(queue) ?? backend.openQueue(queue)
    handles.set(queue, handle)
    return handle
  }
  return {
    async enqueue(jobId, queue, { attempt = 0, delayMs = 0 } = {}) {
      await answerWithin(handleOf(queue).add(`${jobId}-${attempt}`, { jobId }, delayMs), timeoutMs)
    },
    depths: async () =>
      Promise.all(deviceClasses.map(async (name) => answerWithin(readDepth(name, handleOf(name)), timeoutMs))),
    async close() {
      await Promise.allSettled([...handles.values()].map(async (handle) => handle.close()))
    },
  }
}

async function readDepth(deviceClass: DeviceClass, handle: QueueHandle): Promise<QueueDepth> {
  const [counts, oldest] = await Promise.all([handle.counts(), handle.oldestWaitingAt()])
  const oldestWaitMs = oldest === undefined ? null : Math.max(0, Date.now() - oldest)
  return { deviceClass, depth: counts.waiting, active: counts.active, oldestWaitMs }
}

async function answerWithin<T>(work: Promise<T>, timeoutMs: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer in ${timeoutMs} ms`)), timeoutMs)
  })
  try {
    return await Promise.race([work, timeout])
  } catch (error) {
    throw new HastenError('unavailable', `The queue does not answer: ${messageOf(error)}`, { cause: error })
  } finally {
    clearTimeout(timer)
  }
}
