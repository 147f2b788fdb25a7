import type { JsonObject } from '../rows.ts'

/** A key may be used again after 24 hours. */
export const idempotencyTtlMs = 24 * 3600 * 1000

export type Reservation =
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
