import { randomUUID } from 'node:crypto'
import type { Database } from '../database.ts'
import { toJson } from '../json.ts'
import type { JsonObject } from '../rows.ts'

/** A key may be used again after 24 hours. */
const idempotencyTtlMs = 24 * 3600 * 1000

type Reservation =
  /** Do the work, then `complete` or `release` with this owner. */
  | { readonly outcome: 'reserved'; readonly owner: string }
  | { readonly outcome: 'completed'; readonly response: JsonObject }
  /** The first request has not ended. */
  | { readonly outcome: 'in_flight' }
  /** The key was used for another request. */
  | { readonly outcome: 'mismatch' }

export interface Idempotency {
  /** Exactly one of any number of parallel calls gets `reserved`. A reservation whose lease ended may be taken over. */
  reserve(request: { project: string; key: string; fingerprint: string; leaseMs: number }): Promise<Reservation>
  /** False when the reservation was lost. */
  complete(request: { project: string; key: string; owner: string; response: object }): Promise<boolean>
  /** The work failed in a way that may be tried again under the same key. */
  release(request: { project: string; key: string; owner: string }): Promise<void>
  /** Prolongs the lease of long work; false when the reservation was lost. */
  renew(request: { project: string; key: string; owner: string; leaseMs: number }): Promise<boolean>
  prune(now: Date): Promise<number>
}

interface ReservationRow {
  readonly owner: string
  readonly fingerprint: string
  readonly response: JsonObject | null
}

export function createIdempotency({ prisma }: Database): Idempotency {
  return {
    async reserve({ project, key, fingerprint, leaseMs }) {
      const owner = randomUUID()
      // One statement decides: insert, or take over what expired or lost its owner. Whoever loses reads the winner's row.
      const taken = await prisma.$queryRaw<unknown[]>`
        INSERT INTO idempotency_keys (project, key, fingerprint, owner, lease_expires_at)
        VALUES (${project}, ${key}, ${fingerprint}, ${owner}, now() + ${leaseMs} * interval '1 millisecond')
        ON CONFLICT (project, key) DO UPDATE
          SET fingerprint = excluded.fingerprint, owner = excluded.owner, lease_expires_at = excluded.lease_expires_at,
              response = NULL, created_at = now()
          WHERE idempotency_keys.created_at < now() - ${idempotencyTtlMs} * interval '1 millisecond'
             OR (idempotency_keys.response IS NULL AND idempotency_keys.lease_expires_at < now()
                 AND idempotency_keys.fingerprint = excluded.fingerprint)
        RETURNING 1`
      if (taken.length > 0) return { outcome: 'reserved', owner }
      const [row] = await prisma.$queryRaw<ReservationRow[]>`
        SELECT owner, fingerprint, response FROM idempotency_keys WHERE project = ${project} AND key = ${key}`
      return judge(row, fingerprint)
    },
    async complete({ project, key, owner, response }) {
      const data = { response: toJson(response) }
      const { count } = await prisma.idempotencyKey.updateMany({ where: { project, key, owner }, data })
      return count === 1
    },
    async release({ project, key, owner }) {
      await prisma.$executeRaw`
        DELETE FROM idempotency_keys WHERE project = ${project} AND key = ${key} AND owner = ${owner} AND response IS NULL`
    },
    async renew({ project, key, owner, leaseMs }) {
      const count = await prisma.$executeRaw`
        UPDATE idempotency_keys SET lease_expires_at = now() + ${leaseMs} * interval '1 millisecond'
        WHERE project = ${project} AND key = ${key} AND owner = ${owner} AND response IS NULL`
      return count === 1
    },
    async prune(now) {
      const where = { createdAt: { lt: new Date(now.getTime() - idempotencyTtlMs) } }
      return (await prisma.idempotencyKey.deleteMany({ where })).count
    },
  }
}

// No row: the first request released the key in between; the client's next try finds it free.
function judge(row: ReservationRow | undefined, fingerprint: string): Reservation {
  if (row === undefined) return { outcome: 'in_flight' }
  if (row.fingerprint !== fingerprint) return { outcome: 'mismatch' }
  return row.response === null ? { outcome: 'in_flight' } : { outcome: 'completed', response: row.response }
}
