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

/** A pool that outlives a restart of the server: connections that broke while idle leave it. */
export function openPool({ connectionString, max, logger, options }: PoolSettings): Pool {
  const pool = new Pool({
    connectionString,
    max,
    connectionTimeoutMillis: 10_000,
    keepAlive: true,
    application_name: 'hasten',
    ...(options === undefined ? {} : { options }),
  })
  return pool.on('error', (error) => logger?.warn({ err: error }, 'a database connection broke'))
}

export function openDatabase(settings: PoolSettings): Database {
  const pool = openPool(settings)
  const prisma = new PrismaClient({
    adapter: new PrismaPg(pool),
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
      }
    },
    async close() {
      await prisma.$disconnect()
      await pool.end()
    },
  }
}
