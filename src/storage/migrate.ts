import { createHash, randomUUID } from 'node:crypto'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { Client } from 'pg'
import { HastenError, messageOf } from '../errors.ts'
import { toStorageError } from './errors.ts'

export interface Migration {
  readonly name: string
  readonly sql: string
  /** sha256 of the file, as Prisma keeps it. */
  readonly checksum: string
}

interface AppliedRow {
  readonly migration_name: string
  readonly checksum: string
  readonly finished_at: Date | null
}

// The key that `prisma migrate` itself takes, so that neither runs beside the other.
const advisoryLock = 72_707_369

// The table as `prisma migrate deploy` makes it: either may come first.
const createHistory = `
  CREATE TABLE IF NOT EXISTS _prisma_migrations (
    id VARCHAR(36) PRIMARY KEY NOT NULL,
    checksum VARCHAR(64) NOT NULL,
    finished_at TIMESTAMPTZ,
    migration_name VARCHAR(255) NOT NULL,
    logs TEXT,
    rolled_back_at TIMESTAMPTZ,
    started_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    applied_steps_count INTEGER NOT NULL DEFAULT 0
  )`

/**
 * Brings the database to the newest migration, each in one transaction, one process at a time. Returns the names it
 * applied. Throws config_invalid when the history differs from the files, unavailable when the database does not answer.
 */
export async function migrate(connectionString: string, migrations = readMigrations()): Promise<readonly string[]> {
  const client = new Client({ connectionString })
  client.on('error', () => undefined)
  try {
    await client.connect()
    await client.query('SELECT pg_advisory_lock($1)', [advisoryLock])
    await client.query(createHistory)
    const open = await selectOpen(client, migrations)
    for (const migration of open) await applyMigration(client, migration)
    return open.map(({ name }) => name)
  } catch (error) {
    throw toStorageError(error)
  } finally {
    // Ends the session, and with it the lock.
    await client.end()
  }
}

/** The migrations that come with this version, oldest first. */
export function readMigrations(dir = findMigrations(import.meta.dirname)): readonly Migration[] {
  const names = readdirSync(dir, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name)
  return names.sort().map((name) => {
    const sql = readFileSync(path.join(dir, name, 'migration.sql'), 'utf8')
    return { name, sql, checksum: createHash('sha256').update(sql).digest('hex') }
  })
}

// Sources and the built package have it at different depths.
function findMigrations(from: string): string {
  const dir = path.join(from, 'prisma/migrations')
  if (existsSync(dir)) return dir
  if (from === path.dirname(from)) throw new HastenError('internal', 'The package lacks prisma/migrations')
  return findMigrations(path.dirname(from))
}

async function selectOpen(client: Client, migrations: readonly Migration[]): Promise<readonly Migration[]> {
  const { rows } = await client.query<AppliedRow>(
    'SELECT migration_name, checksum, finished_at FROM _prisma_migrations WHERE rolled_back_at IS NULL',
  )
  const applied = new Map(rows.map((row) => [row.migration_name, row]))
  for (const migration of migrations) checkApplied(migration, applied.get(migration.name))
  return migrations.filter(({ name }) => !applied.has(name))
}

function checkApplied({ name, checksum }: Migration, row: AppliedRow | undefined): void {
  if (row === undefined) return
  if (row.finished_at === null) {
    throw new HastenError('config_invalid', `Migration ${name} began and did not end`, {
      hint: 'Repair the database and run `prisma migrate resolve`.',
    })
  }
  if (row.checksum !== checksum) {
    throw new HastenError('config_invalid', `Migration ${name} in the database is not the one of this version`, {
      hint: 'DATABASE_URL may name the database of another installation.',
    })
  }
}

async function applyMigration(client: Client, { name, sql, checksum }: Migration): Promise<void> {
  await client.query('BEGIN')
  try {
    await client.query(sql)
    await client.query(
      `INSERT INTO _prisma_migrations (id, checksum, finished_at, migration_name, started_at, applied_steps_count)
       VALUES ($1, $2, clock_timestamp(), $3, now(), 1)`,
      [randomUUID(), checksum, name],
    )
    await client.query('COMMIT')
  } catch (cause) {
    throw new HastenError('internal', `Migration ${name} failed: ${messageOf(cause)}`, { cause })
  }
}
