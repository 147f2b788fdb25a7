import type { FastifyRequest } from 'fastify'
import { fastifyPlugin } from 'fastify-plugin'
import { HastenError } from '../../errors.ts'
import { scopes, type Scope } from '../route.ts'
import type { Keys } from '../../storage/index.ts'

/** Who sends a request, and what they may do. */
export interface Caller {
  readonly project: string
  readonly scopes: readonly string[]
  /** The key's id; undefined when authentication is off. */
  readonly keyId: string | undefined
}

declare module 'fastify' {
  interface FastifyRequest {
    /** Set for every route that has a scope. */
    caller: Caller | null
  }
}

interface AuthOptions {
  readonly mode: 'keys' | 'none'
  readonly keys: Pick<Keys, 'authenticate'>
}

const openCaller: Caller = { project: 'default', scopes, keyId: undefined }

/**
 * Finds the caller of every route that has a scope, before the body is read. Keys are stored as
 * hashes; the secret itself is nowhere stored or logged.
 */
export const authPlugin = fastifyPlugin<AuthOptions>(
  async (app, { mode, keys }) => {
    app.decorateRequest('caller', null)
    app.addHook('onRequest', async (request) => {
      const scope = request.routeOptions.config.scope
      if (scope === undefined || scope === null) return
      request.caller = mode === 'none' ? openCaller : await authenticate(request, keys)
      requireScope(request.caller, scope)
    })
  },
  { name: 'auth', fastify: '5.x', dependencies: ['errors'] },
)

async function authenticate(request: FastifyRequest, keys: AuthOptions['keys']): Promise<Caller> {
  const [, secret] = /^Bearer (hk_[\w-]{20,100})$/i.exec(request.headers.authorization ?? '') ?? []
  if (secret === undefined) throw new HastenError('unauthorized', 'The request carries no key.')
  const key = await keys.authenticate(secret)
  if (key === undefined) throw new HastenError('unauthorized', 'The key does not exist, or has expired.')
  return { project: key.project, scopes: key.scopes, keyId: key.id }
}

function requireScope(caller: Caller, scope: Scope): void {
  if (caller.scopes.includes(scope) || caller.scopes.includes('admin')) return
  throw new HastenError('forbidden', `The key lacks the scope ${scope}.`)
}

/** The project of an authenticated request. */
export function projectOf(request: FastifyRequest): string {
  if (request.caller === null) throw new HastenError('internal', 'A route without a scope asked for its caller.')
  return request.caller.project
}
