// Writes the migration that brings the committed migrations to prisma/schema.prisma: node scripts/migrate-diff.ts NAME
// Everything runs on a throw-away embedded Postgres. What the schema language cannot say is added to the file by hand.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { startEmbeddedPostgres } from '../src/storage/embedded.ts'
import { migrate } from '../src/storage/migrate.ts'
import { openSchemaEngine } from './schema-engine.ts'

const name = process.argv[2]
if (name === undefined || !/^[a-z0-9_]+$/.test(name))
  throw new Error('Usage: node scripts/migrate-diff.ts name_of_change')
const migrations = path.join(import.meta.dirname, '../prisma/migrations')
mkdirSync(migrations, { recursive: true })
const scratch = mkdtempSync(path.join(tmpdir(), 'hasten-migrate-'))
const postgres = await startEmbeddedPostgres({ dataDir: path.join(scratch, 'postgres') })
try {
  await migrate(postgres.connectionString)
  const engine = await openSchemaEngine(postgres.connectionString)
  const sql = await engine.diffToSchema()
  await engine.close()
  if (sql === '') throw new Error('The migrations already say what the schema says')
  const time = new Date().toISOString().replaceAll(/\D/g, '').slice(0, 14)
  const dir = path.join(migrations, `${time}_${name}`)
  mkdirSync(dir)
  writeFileSync(path.join(dir, 'migration.sql'), sql)
  writeFileSync(path.join(migrations, 'migration_lock.toml'), 'provider = "postgresql"\n')
  process.stdout.write(`${path.join(dir, 'migration.sql')}\n`)
} finally {
  await postgres.stop()
  rmSync(scratch, { recursive: true })
}
process.exit(0)
