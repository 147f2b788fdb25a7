import { Client } from 'pg'
import type { Logger } from '../telemetry.ts'
import { toStorageError } from './errors.ts'

/**
 * Runs the work unless somebody else, on any host, is at work under that name: then undefined, without waiting. The lock
 * is a session's, on a connection of its own, and goes with it: work that outlives its connection may run beside
 * another's, so each step of it must be harmless when it is done twice.
 */
export type Exclusively = <T>(name: string, work: () => Promise<T>) => Promise<T | undefined>

export function createExclusively(connectionString: string, logger: Logger | undefined): Exclusively {
  return async (name, work) => {
    const client = new Client({ connectionString, keepAlive: true, application_name: `hasten ${name}` })
    client.on('error', (error) => logger?.warn({ err: error, name }, 'the connection of a lock broke'))
    try {
      return (await tryLock(client, name)) ? await work() : undefined
    } finally {
      await client.end().catch((error: unknown) => logger?.warn({ err: error, name }, 'a lock was not let go'))
    }
  }
}

async function tryLock(client: Client, name: string): Promise<boolean> {
  try {
    await client.connect()
    const sql = 'SELECT pg_try_advisory_lock(hashtextextended($1, 0)) AS locked'
    const { rows } = await client.query<{ locked: boolean }>(sql, [`hasten ${name}`])
    return rows[0]?.locked === true
  } catch (error) {
    throw toStorageError(error)
  }
}
