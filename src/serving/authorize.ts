import { LRUCache } from 'lru-cache'
import { HastenError } from '../errors.ts'

/** What a key must be for: asking models, or deciding what is loaded. */
export type Scope = 'predict' | 'deployments:write'

export interface Caller {
  readonly project: string
}

/**
 * Who sends a request, from its Authorization header; answers at once when it can. The key must have the scope, which
 * is `predict` when none is named.
 * @throws HastenError `unauthorized`, `forbidden`, `unavailable`
 */
export type Authorize = (authorization: string | undefined, scope?: Scope) => Caller | Promise<Caller>

interface FoundKey {
  readonly project: string
  readonly scopes: readonly string[]
  readonly expiresAt: Date | null
}

export interface KeyAuthorizerOptions {
  /** The key of a secret, or undefined when there is none. */
  readonly findKey: (secret: string) => Promise<FoundKey | undefined>
  /** A deleted key works for this long. Default 10 s. */
  readonly ttlMs?: number
  readonly maxKeys?: number
}

/** With the database away, a key that was good goes on working for this long. */
const staleMs = 3_600_000

interface Lookup {
  readonly key: FoundKey | undefined
  /** `performance.now()` from which it is to be looked up again. */
  freshUntil: number
}

/**
 * Authorizes by API keys, remembering each look-up (also that there is no such key) for a short time, so that the
 * database is not asked for every prediction; when it does not answer, the last answer holds.
 */
export function createKeyAuthorizer({ findKey, ttlMs = 10_000, maxKeys = 10_000 }: KeyAuthorizerOptions): Authorize {
  const cache = new LRUCache<string, Lookup>({ max: maxKeys, ttl: staleMs })

  async function lookUp(header: string, last: Lookup | undefined, scope: Scope): Promise<Caller> {
    const [, secret] = /^Bearer (hk_[\w-]{20,100})$/i.exec(header) ?? []
    if (secret === undefined) throw new HastenError('unauthorized', 'The request carries no key.')
    const freshUntil = performance.now() + ttlMs
    try {
      const key = await findKey(secret)
      cache.set(header, { key, freshUntil })
      return callerOf(key, scope)
    } catch (error) {
      const isAway = error instanceof HastenError && error.code === 'unavailable'
      if (!isAway || last === undefined) throw error
      last.freshUntil = freshUntil
      return callerOf(last.key, scope)
    }
  }

  return (authorization = '', scope = 'predict') => {
    const last = cache.get(authorization)
    const isFresh = last !== undefined && performance.now() < last.freshUntil
    return isFresh ? callerOf(last.key, scope) : lookUp(authorization, last, scope)
  }
}

function callerOf(key: FoundKey | undefined, scope: Scope): Caller {
  if (key === undefined) throw new HastenError('unauthorized', 'The key is not known; it may have been deleted.')
  if (key.expiresAt !== null && key.expiresAt <= new Date()) {
    throw new HastenError('unauthorized', 'The key has expired.')
  }
  if (key.scopes.includes(scope) || key.scopes.includes('admin')) return { project: key.project }
  throw new HastenError('forbidden', `The key lacks the scope ${scope}.`)
}

/** For a server without authentication: everybody is the default project. */
export function createOpenAuthorizer(project = 'default'): Authorize {
  const caller = { project }
  return () => caller
}
