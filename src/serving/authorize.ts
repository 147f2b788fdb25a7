import { createHash } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import { HastenError } from '../errors.ts'

export interface Caller {
  readonly project: string
}

/**
 * Who sends a request, from its Authorization header; answers at once when it can.
 * @throws HastenError `unauthorized`, `forbidden`, `unavailable`
 */
export type Authorize = (authorization: string | undefined) => Caller | Promise<Caller>

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

const scope = 'predict'

/**
 * Authorizes by API keys, remembering each lookup (also that there is no such key) for a short time, so that the
 * database is not asked for every prediction. Memory holds hashes of the secrets, not the secrets.
 */
export function createKeyAuthorizer({ findKey, ttlMs = 10_000, maxKeys = 10_000 }: KeyAuthorizerOptions): Authorize {
  const cache = new LRUCache<string, { readonly key: FoundKey | undefined }>({ max: maxKeys, ttl: ttlMs })

  async function lookUp(secret: string, hash: string): Promise<Caller> {
    const key = await findKey(secret)
    cache.set(hash, { key })
    return callerOf(key)
  }

  return (authorization) => {
    const [, secret] = /^Bearer (hk_[\w-]{20,100})$/i.exec(authorization ?? '') ?? []
    if (secret === undefined) throw new HastenError('unauthorized', 'The request carries no key.')
    const hash = createHash('sha256').update(secret).digest('base64')
    const known = cache.get(hash)
    return known === undefined ? lookUp(secret, hash) : callerOf(known.key)
  }
}

function callerOf(key: FoundKey | undefined): Caller {
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
