import type { Storage } from '../storage/index.ts'

type WatchResult = 'changed' | 'timeout' | 'closed'

/** One reader's view of a job's changes. A change between two calls of `next` is not lost. */
export interface JobSubscription {
  next(timeoutMs: number): Promise<WatchResult>
  close(): void
}

export interface JobWatch {
  subscribe(jobId: string): Promise<JobSubscription>
  /** Ends every subscription. */
  close(): Promise<void>
}

interface Subscriber extends JobSubscription {
  wake(): void
}

/** Spreads the database's job notifications to any number of waiting requests over one LISTEN. */
export function createJobWatch(storage: Pick<Storage, 'listen'>): JobWatch {
  const byJob = new Map<string, Set<Subscriber>>()
  let listening: ReturnType<Storage['listen']> | undefined
  const dispatch = (jobId: string | null) => {
    // After a reconnect nobody knows what was missed, so everybody looks again.
    const groups = jobId === null ? [...byJob.values()] : [byJob.get(jobId) ?? []]
    for (const group of groups) for (const subscriber of group) subscriber.wake()
  }
  const listen = async () => {
    listening ??= storage.listen('hasten_job', dispatch)
    try {
      await listening
    } catch (error) {
      listening = undefined
      throw error
    }
  }
  return {
    async subscribe(jobId) {
      await listen()
      const group = byJob.get(jobId) ?? new Set()
      byJob.set(jobId, group)
      const subscriber = createSubscriber(() => {
        group.delete(subscriber)
        if (group.size === 0 && byJob.get(jobId) === group) byJob.delete(jobId)
      })
      group.add(subscriber)
      return subscriber
    },
    async close() {
      for (const group of byJob.values()) for (const subscriber of group) subscriber.close()
      const stop = await listening?.catch(() => undefined)
      stop?.()
    },
  }
}

function createSubscriber(leave: () => void): Subscriber {
  let changed = false
  let closed = false
  let resume: (() => void) | undefined
  const pause = async (timeoutMs: number) => {
    const { promise, resolve } = Promise.withResolvers<void>()
    const timer = setTimeout(resolve, timeoutMs)
    resume = resolve
    await promise
    clearTimeout(timer)
    resume = undefined
  }
  return {
    async next(timeoutMs) {
      if (!changed && !closed) await pause(timeoutMs)
      if (closed) return 'closed'
      const result = changed ? 'changed' : 'timeout'
      changed = false
      return result
    },
    wake() {
      changed = true
      resume?.()
    },
    close() {
      closed = true
      leave()
      resume?.()
    },
  }
}
