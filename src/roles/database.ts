import { rm, writeFile } from 'node:fs/promises'
import { dataPaths, type Config } from '../config.ts'
import type { Logger } from '../telemetry.ts'

/** A migrated database, and how to let go of it. */
export interface OpenDatabase {
  readonly connectionString: string
  /** For people: where it is, without a password. */
  readonly description: string
  close(): Promise<void>
}

/**
 * The database that DATABASE_URL names, or an embedded Postgres in the data directory; migrated either way. The
 * embedded one leaves its address in a file that only its owner reads, so that `hasten keys` finds it.
 */
export async function openDatabase(config: Config, logger: Logger): Promise<OpenDatabase> {
  const { migrate } = await import('../storage/index.ts')
  if (config.databaseUrl !== undefined) {
    await migrate(config.databaseUrl)
    return { connectionString: config.databaseUrl, description: 'Postgres at DATABASE_URL', close: async () => {} }
  }
  const { startEmbeddedPostgres } = await import('../storage/embedded.ts')
  const paths = dataPaths(config.dataDir)
  const postgres = await startEmbeddedPostgres({ dataDir: paths.postgres })
  const close = async () => {
    await rm(paths.databaseUrl, { force: true })
    await postgres.stop()
  }
  try {
    await migrate(postgres.connectionString)
    await writeFile(paths.databaseUrl, `${postgres.connectionString}\n`, { mode: 0o600 })
  } catch (error) {
    await close()
    throw error
  }
  logger.info({ pid: postgres.pid }, 'embedded Postgres is up')
  return { connectionString: postgres.connectionString, description: `embedded Postgres in ${paths.postgres}`, close }
}
