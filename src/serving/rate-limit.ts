import { LRUCache } from 'lru-cache'
import { HastenError } from '../errors.ts'
import type { Authorize, Caller } from './authorize.ts'

/** What a key has left, as of a time: it fills up again by the rate. */
interface Bucket {
  tokens: number
  at: number
}

const maxKeys = 10_000

/**
 * Lets each key make so many requests a second, and as many at once after a second of rest. Only keys that were
 * authorized are counted, so that made-up ones push nobody out.
 * @param now milliseconds of a clock that never goes back
 */
export function limitRate(authorize: Authorize, perSecond: number, now = () => performance.now()): Authorize {
  if (perSecond === 0) return authorize
  const buckets = new LRUCache<string, Bucket>({ max: maxKeys })
  const admit = (key: string, caller: Caller): Caller => {
    const bucket = buckets.get(key) ?? { tokens: perSecond, at: now() }
    buckets.set(key, bucket)
    take(bucket, perSecond, now())
    return caller
  }
  return (authorization = '', scope) => {
    const caller = authorize(authorization, scope)
    if (!(caller instanceof Promise)) return admit(authorization, caller)
    return caller.then((found) => admit(authorization, found))
  }
}

function take(bucket: Bucket, perSecond: number, at: number): void {
  bucket.tokens = Math.min(perSecond, bucket.tokens + ((at - bucket.at) / 1000) * perSecond)
  bucket.at = at
  if (bucket.tokens < 1) {
    const retryAfter = Math.max(1, Math.ceil((1 - bucket.tokens) / perSecond))
    throw new HastenError('rate_limited', `More than ${perSecond} requests a second by this key.`, { retryAfter })
  }
  bucket.tokens--
}
