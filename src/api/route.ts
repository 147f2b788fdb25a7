import type { FastifySchema } from 'fastify'
import type { ErrorCode } from '../errors.ts'

export const scopes = [
  'models:read',
  'models:write',
  'jobs:read',
  'jobs:write',
  'deployments:write',
  'predict',
  'admin',
] as const
export type Scope = (typeof scopes)[number]

/** Errors any authenticated route can answer. */
export const commonErrors = [
  'invalid_request',
  'unauthorized',
  'forbidden',
  'rate_limited',
  'overloaded',
  'unavailable',
  'internal',
] as const satisfies readonly ErrorCode[]

declare module 'fastify' {
  interface FastifyContextConfig {
    /** The scope a key needs; null for routes that need no key. */
    scope?: Scope | null
    /** Codes this route can answer besides `commonErrors`. */
    errors?: readonly ErrorCode[]
    /** A request body that is documented here but read and checked by the handler (uploads, YAML). */
    documentedBody?: Record<string, unknown>
    /** Media types of an answer that is not JSON, by status. */
    media?: Readonly<Record<number, readonly string[]>>
    /** The route takes an Idempotency-Key. */
    idempotent?: boolean
  }
}

interface RouteDescription<S extends FastifySchema> {
  readonly id: string
  readonly tag: string
  readonly summary: string
  readonly scope: Scope | null
  readonly errors?: readonly ErrorCode[]
  readonly schema: S
  readonly body?: Record<string, unknown>
  readonly media?: Readonly<Record<number, readonly string[]>>
  readonly idempotent?: boolean
}

/**
 * The options of a route: its schemas for validation and serialization, and what else the contract says of it: the
 * scope, the errors it can answer, its place in the documentation.
 */
export function describeRoute<const S extends FastifySchema>(route: RouteDescription<S>) {
  const { id, tag, summary, scope, errors = [], schema, body, media, idempotent = false } = route
  return {
    schema: { ...schema, operationId: id, tags: [tag], summary },
    config: {
      scope,
      errors: idempotent ? [...errors, ...idempotencyErrors] : errors,
      idempotent,
      ...(body === undefined ? {} : { documentedBody: body }),
      ...(media === undefined ? {} : { media }),
    },
  }
}

const idempotencyErrors = ['idempotency_in_flight', 'idempotency_reused'] as const satisfies readonly ErrorCode[]
