import { setTimeout as sleep } from 'node:timers/promises'
import { HastenError } from '../errors.ts'

export interface PatienceOptions {
  /** How long to keep trying. */
  readonly forMs: number
  readonly waitMs?: number
  readonly signal?: AbortSignal | undefined
}

/**
 * Repeats work while the database or the queue doesn't answer, so that a restart of either costs a job nothing. Only
 * for work that may be done twice, as fenced writes may.
 */
export async function retryUnavailable<T>(work: () => Promise<T>, options: PatienceOptions): Promise<T> {
  const { forMs, waitMs = 250, signal } = options
  const giveUpAt = Date.now() + forMs
  for (;;) {
    try {
      return await work()
    } catch (error) {
      const temporary = error instanceof HastenError && error.code === 'unavailable'
      if (!temporary || Date.now() > giveUpAt) throw error
      await sleep(waitMs, undefined, signal === undefined ? {} : { signal })
    }
  }
}
