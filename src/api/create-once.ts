import { createHash } from 'node:crypto'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { HastenError } from '../errors.ts'
import type { Idempotency } from '../storage/index.ts'
import { projectOf } from './plugins/auth.ts'

/** What a creating request answers: kept and given again under the same Idempotency-Key. */
export interface Created<Body extends object> {
  readonly status: 201 | 202
  readonly location: string
  readonly body: Body
  /** The body kept for later answers, where the first one holds a secret. */
  readonly kept?: object
}

const leaseMs = 300_000

/**
 * Runs `create` at most once for an Idempotency-Key. A request that is refused or fails created nothing, so its key is
 * free again; only the answers of created resources are kept.
 * @param input what makes two requests the same, besides verb and path: the JSON body, or fields and hash of an upload
 * @throws HastenError `idempotency_in_flight`, `idempotency_reused`, or what `create` throws
 */
export async function createOnce<Body extends object>(
  request: FastifyRequest,
  reply: FastifyReply,
  idempotency: Idempotency,
  input: unknown,
  create: () => Promise<Created<Body>>,
): Promise<Body> {
  const key = readKey(request)
  if (key === undefined) return answer(reply, await create())
  const slot = { project: projectOf(request), key }
  const reservation = await idempotency.reserve({ ...slot, fingerprint: fingerprintOf(request, input), leaseMs })
  if (reservation.outcome === 'mismatch') {
    throw new HastenError('idempotency_reused', 'This Idempotency-Key belongs to another request.')
  }
  if (reservation.outcome === 'in_flight') {
    throw new HastenError('idempotency_in_flight', 'A request with this Idempotency-Key is being answered.', {
      retryAfter: 1,
    })
  }
  if (reservation.outcome === 'completed') {
    reply.header('idempotent-replayed', 'true')
    return answer(reply, reservation.response as unknown as Created<Body>)
  }
  const owned = { ...slot, owner: reservation.owner }
  const created = await createOrRelease(idempotency, owned, create)
  const { kept, ...response } = created
  await idempotency.complete({ ...owned, response: { ...response, body: kept ?? created.body } })
  return answer(reply, created)
}

async function createOrRelease<Body extends object>(
  idempotency: Idempotency,
  owned: { project: string; key: string; owner: string },
  create: () => Promise<Created<Body>>,
): Promise<Created<Body>> {
  try {
    return await create()
  } catch (error) {
    await idempotency.release(owned)
    throw error
  }
}

function answer<Body extends object>(reply: FastifyReply, { status, location, body }: Created<Body>): Body {
  reply.code(status).header('location', location)
  return body
}

function readKey(request: FastifyRequest): string | undefined {
  const key = request.headers['idempotency-key']
  if (key === undefined) return undefined
  if (typeof key === 'string' && /^[\u0021-\u007e]{1,255}$/.test(key)) return key
  throw new HastenError('invalid_request', 'Idempotency-Key is 1 to 255 visible ASCII characters.')
}

function fingerprintOf(request: FastifyRequest, input: unknown): string {
  const path = request.url.split('?', 1)[0]
  return createHash('sha256')
    .update(`${request.method} ${path} ${canonicalJson(input)}`)
    .digest('hex')
}

/** JSON with sorted keys: the same body whatever order a client's library writes. */
function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, item: unknown) => (isRecord(item) ? sortKeys(item) : item)) ?? ''
}

function sortKeys(record: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1)))
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
