import { afterEach, expect, test } from 'vitest'
import { openSchemaEngine, type SchemaEngine } from '../../scripts/schema-engine.ts'
import { migrate, readMigrations } from '../../src/storage/migrate.ts'
import { createTestDatabase, runSql, type TestDatabase } from '../support/postgres.ts'

const databases: TestDatabase[] = []
afterEach(async () => {
  for (const database of databases.splice(0)) await database.drop()
})

async function createEmpty(): Promise<string> {
  const database = await createTestDatabase({ empty: true })
  databases.push(database)
  return database.connectionString
}

async function withEngine<T>(url: string, use: (engine: SchemaEngine) => Promise<T>): Promise<T> {
  const engine = await openSchemaEngine(url)
  try {
    return await use(engine)
  } finally {
    await engine.close()
  }
}

const diff = (url: string) => withEngine(url, (engine) => engine.diffToSchema())
const deploy = (url: string) => withEngine(url, (engine) => engine.applyMigrations(readMigrations()))
const history = (url: string) =>
  runSql(url, 'SELECT migration_name, checksum, applied_steps_count FROM _prisma_migrations ORDER BY migration_name')
const names = readMigrations().map(({ name }) => name)

test('an empty database gets every migration, in order, once', async () => {
  const url = await createEmpty()
  expect(await migrate(url)).toEqual(names)
  expect(await migrate(url)).toEqual([])
})

test('the migrations make exactly what schema.prisma says', async () => {
  const url = await createEmpty()
  await migrate(url)
  expect(await diff(url)).toBe('')
})

test('a schema difference is seen', async () => {
  const url = await createEmpty()
  await migrate(url)
  await runSql(url, 'ALTER TABLE jobs DROP COLUMN stage')
  expect(await diff(url)).toContain('ADD COLUMN     "stage" TEXT')
})

test('the history is that of prisma migrate deploy, both ways', async () => {
  const [ours, theirs] = [await createEmpty(), await createEmpty()]
  await migrate(ours)
  expect(await deploy(theirs)).toEqual(names)
  expect(await history(ours)).toEqual(await history(theirs))
  expect(await deploy(ours)).toEqual([])
  expect(await migrate(theirs)).toEqual([])
})

test('processes that start at once apply each migration once', async () => {
  const url = await createEmpty()
  const applied = await Promise.all(Array.from({ length: 4 }, () => migrate(url)))
  expect(applied.flat()).toEqual(names)
})

test('a migration that fails leaves nothing behind', async () => {
  const url = await createEmpty()
  const bad = {
    name: '20990101000000_bad',
    sql: 'CREATE TABLE half (id int); SELECT no_such_function()',
    checksum: 'x',
  }
  await expect(migrate(url, [bad])).rejects.toThrow('Migration 20990101000000_bad failed: function no_such_function()')
  expect(await runSql(url, "SELECT to_regclass('half') AS half")).toEqual([{ half: null }])
  expect(await migrate(url)).toEqual(names)
})

test('another history than the files is refused', async () => {
  const url = await createEmpty()
  await migrate(url)
  await runSql(url, "UPDATE _prisma_migrations SET checksum = 'changed'")
  await expect(migrate(url)).rejects.toMatchObject({ code: 'config_invalid' })
  await runSql(url, 'UPDATE _prisma_migrations SET finished_at = NULL')
  await expect(migrate(url)).rejects.toThrow('began and did not end')
})

test('a database that does not answer is unavailable', async () => {
  await expect(migrate('postgresql://nobody@127.0.0.1:1/none')).rejects.toMatchObject({ code: 'unavailable' })
})

test('what the schema language cannot say is in the migrations', async () => {
  const url = await createEmpty()
  await migrate(url)
  const storage = "SELECT attstorage FROM pg_attribute WHERE attrelid = 'blob_chunks'::regclass AND attname = 'data'"
  expect(await runSql(url, storage)).toEqual([{ attstorage: 'e' }])
  const index = "SELECT indexdef FROM pg_indexes WHERE indexname = 'deployments_live_name_key'"
  expect(await runSql(url, index)).toMatchObject([{ indexdef: expect.stringMatching(/UNIQUE.*deleted_at IS NULL/) }])
})
