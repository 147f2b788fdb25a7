import { setTimeout as delay } from 'node:timers/promises'
import { PrismaPg } from '@prisma/adapter-pg'
import { Pool } from 'pg'
import type { Logger } from '../telemetry.ts'
import { isDeadlock } from './errors.ts'
import { PrismaClient, type Prisma } from './generated/client.ts'

/** What a repository needs of the database: queries, or a transaction of them. */
export type Transaction = Prisma.TransactionClient

export interface Database {
  readonly prisma: PrismaClient
  /**
   * Commits when the work resolves, else rolls everything back. READ COMMITTED: lock a row before deciding on it. After a
   * deadlock the work is done again, so it must have no effect outside of the database.
   */
  readonly transaction: <T>(work: (tx: Transaction) => Promise<T>) => Promise<T>
  close(): Promise<void>
}

export interface PoolSettings {
  readonly connectionString: string
  readonly max: number
  readonly logger: Logger | undefined
  /** Sent at connect, such as `-c synchronous_commit=off`. */
  readonly options?: string
}

const deadlockTries = 3
const retryAfterMs = 25

/** A pool that outlives a restart of the server: connections that broke, idle or in use, leave it and end nothing else. */
export function openPool({ connectionString, max, logger, options }: PoolSettings): Pool {
  const pool = new Pool({
    connectionString,
    max,
    connectionTimeoutMillis: 10_000,
    keepAlive: true,
    application_name: 'hasten',
    ...(options === undefined ? {} : { options }),
  })
  pool.on('connect', (client) => {
    // One that is in use tells its user by failing the query, and says it once more to nobody: that would end the process.
    client.on('error', (error) => logger?.debug({ err: error }, 'a database connection broke while in use'))
  })
  return pool.on('error', (error) => logger?.warn({ err: error }, 'a database connection broke'))
}

/** More distinct statements than the repositories have; lists of ids make some vary without end. */
const maxNamedStatements = 256

/**
 * Names under which connections keep their plans of SELECT statements: for what pollers repeat, planning costs more than
 * running. The empty name keeps nothing.
 */
function createStatementNames(): ({ sql }: { sql: string }) => string {
  const names = new Map<string, string>()
  return ({ sql }) => {
    const known = names.get(sql)
    if (known !== undefined) return known
    if (names.size >= maxNamedStatements || !/^\s*SELECT\b/i.test(sql)) return ''
    const name = `hasten_${names.size}`
    names.set(sql, name)
    return name
  }
}

export function openDatabase(settings: PoolSettings): Database {
  const pool = openPool(settings)
  const prisma = new PrismaClient({
    adapter: new PrismaPg(pool, { statementNameGenerator: createStatementNames() }),
    transactionOptions: { maxWait: 10_000, timeout: 30_000 },
  })
  return {
    prisma,
    async transaction(work) {
      for (let tries = 1; ; tries += 1) {
        try {
          return await prisma.$transaction(work)
        } catch (error) {
          if (tries === deadlockTries || !isDeadlock(error)) throw error
        }
        // A row that was just let go goes to whoever comes first: at once again, the loser would overtake the winner.
        await delay(tries * retryAfterMs * (1 + Math.random()))
      }
    },
    async close() {
      await prisma.$disconnect()
      await pool.end()
    },
  }
}
