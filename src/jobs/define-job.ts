import type { TSchema } from 'typebox'

/** When and how often an attempt that failed for want of infrastructure is tried again. */
export interface RetryPolicy {
  readonly maxAttempts: number
  /** Wait before the second attempt; doubles with each further one, up to `maxBackoffMs`. */
  readonly backoffMs: number
  readonly maxBackoffMs: number
}

/** What the two sides of a queue agree on: the name of the work, what a message carries, how failures are retried. */
export interface JobContract<N extends string = string, S extends TSchema = TSchema> {
  readonly name: N
  readonly payload: S
  readonly retry: RetryPolicy
}

export function defineJob<const N extends string, S extends TSchema>(
  name: N,
  payload: S,
  retry: RetryPolicy,
): JobContract<N, S> {
  return { name, payload, retry }
}

/**
 * Exponential backoff with full jitter on its upper half, so that jobs that failed together don't come back together.
 * @param attempt number of the attempt that failed, from 1
 * @param random in [0, 1)
 */
export function backoffDelay(
  { backoffMs, maxBackoffMs }: RetryPolicy,
  attempt: number,
  random = Math.random(),
): number {
  const ceiling = Math.min(maxBackoffMs, backoffMs * 2 ** (attempt - 1))
  return Math.round(ceiling * (0.5 + random / 2))
}
