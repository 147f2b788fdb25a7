import { HastenError } from '../errors.ts'

// Names that the socket, Postgres (SQLSTATE) and Prisma give to a database that is not there for us.
const socketCodes = 'ECONNREFUSED ECONNRESET EPIPE ETIMEDOUT ENOTFOUND EAI_AGAIN EHOSTUNREACH ENETUNREACH'
const sqlStates = '08000 08001 08003 08004 08006 57P01 57P02 57P03 53300'
const prismaCodes = 'P1001 P1002 P1008 P1017 P2024 P2028 P2037'
const adapterKinds = 'DatabaseNotReachable ConnectionClosed SocketTimeout TooManyConnections'
const lostCodes = new Set([socketCodes, sqlStates, prismaCodes, adapterKinds].flatMap((codes) => codes.split(' ')))
const fullCodes = new Set(['53100', '53000', 'ENOSPC', 'EDQUOT'])
const lostMessages =
  /Connection terminated|timeout exceeded when trying to connect|Client has encountered a connection error|Client was closed|is not queryable|Unable to start a transaction|terminating connection|Can't reach database server|Server has closed the connection|Connection ended unexpectedly|not (?:currently|yet) accepting connections/i

/** What a caller should see of an error of the database: `unavailable`, `storage_full`, or the error as it is. */
export function toStorageError(error: unknown): unknown {
  if (error instanceof HastenError) return error
  const chain = causes(error)
  if (chain.some((link) => codesOf(link).some((code) => fullCodes.has(code)))) {
    return new HastenError('storage_full', 'The database is out of disk space', { cause: error })
  }
  const lost = chain.some(
    (link) => codesOf(link).some((code) => lostCodes.has(code)) || lostMessages.test(textOf(link)),
  )
  return lost ? new HastenError('unavailable', 'The database does not answer', { cause: error, retryAfter: 1 }) : error
}

/** Whether a write broke a unique index. */
export function isUniqueViolation(error: unknown): boolean {
  return hasCode(error, ['23505', 'P2002', 'UniqueConstraintViolation'])
}

/** Whether a row that another refers to is not there. */
export function isForeignKeyViolation(error: unknown): boolean {
  return hasCode(error, ['23503', 'P2003', 'ForeignKeyConstraintViolation'])
}

/** Whether Postgres chose this transaction to give way to another: the same work may succeed when it is done again. */
export function isDeadlock(error: unknown): boolean {
  return hasCode(error, ['40P01', '40001', 'P2034', 'TransactionWriteConflict'])
}

function hasCode(error: unknown, wanted: readonly string[]): boolean {
  return causes(error).some((link) => codesOf(link).some((code) => wanted.includes(code)))
}

interface ErrorLink {
  readonly code?: unknown
  readonly kind?: unknown
  readonly originalCode?: unknown
  readonly message?: unknown
  readonly originalMessage?: unknown
  readonly cause?: unknown
  readonly meta?: { readonly driverAdapterError?: unknown; readonly code?: unknown }
  readonly errors?: readonly unknown[]
}

function codesOf(link: unknown): string[] {
  const { code, kind, originalCode, meta } = (link ?? {}) as ErrorLink
  return [code, kind, originalCode, meta?.code].filter((value) => typeof value === 'string')
}

// P2039 is Prisma's word for anything that it has no code for: what the driver said lies in plain objects below it.
function textOf(link: unknown): string {
  const { message, originalMessage } = (link ?? {}) as ErrorLink
  return [message, originalMessage].filter((text) => typeof text === 'string').join(' ')
}

// Prisma wraps the driver's error in its own, an AggregateError wraps one per address.
function causes(error: unknown, depth = 0): unknown[] {
  if (error === undefined || error === null || depth > 5) return []
  const { cause, meta, errors } = error as ErrorLink
  const inner = [cause, meta?.driverAdapterError, ...(Array.isArray(errors) ? (errors as unknown[]) : [])]
  return [error, ...inner.flatMap((link) => causes(link, depth + 1))]
}

/** An object whose asynchronous methods throw storage errors only. */
export function guardMethods<T extends object>(methods: T): T {
  const guarded = Object.entries(methods).map(([name, method]) => [name, guard(method as AnyMethod)])
  return Object.fromEntries(guarded) as T
}

type AnyMethod = (...parameters: unknown[]) => Promise<unknown>

function guard(method: AnyMethod): AnyMethod {
  return async (...parameters) => {
    try {
      return await method(...parameters)
    } catch (error) {
      throw toStorageError(error)
    }
  }
}
