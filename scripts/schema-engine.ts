// Prisma's own schema engine as WebAssembly from npm: the CLI would download a native one.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import { PrismaPg } from '@prisma/adapter-pg'
import { bindMigrationAwareSqlAdapterFactory, ColumnTypeEnum, type SqlQuery } from '@prisma/driver-adapter-utils'
import { Pool, type QueryResult } from 'pg'
import * as engineModule from '@prisma/schema-engine-wasm/schema_engine_bg'

// Not in the type library of a program without a DOM.
declare const WebAssembly: {
  instantiate(bytes: Uint8Array, imports: object): Promise<{ instance: { exports: object } }>
}

const root = path.join(import.meta.dirname, '..')
const filters = { externalTables: [], externalEnums: [] }
const datamodel = () => readFileSync(path.join(root, 'prisma/schema.prisma'), 'utf8')

export interface SchemaEngine {
  /** SQL that turns the database into what schema.prisma says; empty when it is that already. */
  diffToSchema(): Promise<string>
  /** What `prisma migrate deploy` does with these migrations; returns the names it applied. */
  applyMigrations(migrations: readonly { name: string; sql: string }[]): Promise<readonly string[]>
  close(): Promise<void>
}

export async function openSchemaEngine(connectionString: string): Promise<SchemaEngine> {
  await (loaded ??= loadWasm())
  const pool = new Pool({ connectionString })
  const files = [{ path: 'schema.prisma', content: datamodel() }]
  const adapter = bindMigrationAwareSqlAdapterFactory(openAdapter(pool))
  const engine = await engineModule.SchemaEngine.new(
    { datamodels: [['schema.prisma', datamodel()]] },
    () => {},
    adapter,
  )
  return {
    async diffToSchema() {
      const { stdout } = await engine.diff({
        from: { tag: 'schemaDatasource', files, configDir: root },
        to: { tag: 'schemaDatamodel', files },
        script: true,
        exitCode: null,
        filters,
      })
      const sql = stdout ?? ''
      return sql.startsWith('-- This is an empty migration') ? '' : sql
    },
    async applyMigrations(migrations) {
      const migrationDirectories = migrations.map(({ name, sql }) => ({
        path: name,
        migrationFile: { path: 'migration.sql', content: { tag: 'ok' as const, value: sql } },
      }))
      const lockfile = { path: 'migration_lock.toml', content: 'provider = "postgresql"\n' }
      const migrationsList = { baseDir: 'migrations', lockfile, shadowDbInitScript: '', migrationDirectories }
      const { appliedMigrationNames } = await engine.applyMigrations({ migrationsList, filters })
      return appliedMigrationNames
    },
    async close() {
      engine.free()
      await pool.end()
    },
  }
}

// Object ids in Postgres' catalogue.
const charType = 18
const textType = 25

/**
 * The engine reads catalogue columns of Postgres' internal type "char", which the adapter refuses. They pass it as text
 * and get their type back afterwards.
 */
function openAdapter(pool: Pool): PrismaPg {
  const charColumns = new WeakMap<object, readonly boolean[]>()
  const query = pool.query.bind(pool) as (...parameters: unknown[]) => Promise<QueryResult>
  const queryAsText = async (...parameters: unknown[]) => {
    const result = await query(...parameters)
    const { fields } = result
    const isChar = fields.map(({ dataTypeID }) => dataTypeID === charType)
    charColumns.set(result.rows, isChar)
    for (const field of fields) if (field.dataTypeID === charType) field.dataTypeID = textType
    return result
  }
  const factory = new PrismaPg(Object.assign(pool, { query: queryAsText }))
  const connect = factory.connect.bind(factory)
  const connectWithChar = async () => {
    const adapter = await connect()
    const queryRaw = adapter.queryRaw.bind(adapter)
    const queryWithChar = async (sql: SqlQuery) => {
      const result = await queryRaw(sql)
      const isChar = charColumns.get(result.rows)
      const columnTypes = result.columnTypes.map((type, i) => (isChar?.[i] ? ColumnTypeEnum.Character : type))
      return { ...result, columnTypes }
    }
    return Object.assign(adapter, { queryRaw: queryWithChar })
  }
  return Object.assign(factory, { connect: connectWithChar })
}

// One instance a process: its callbacks would reach the newest one only.
let loaded: Promise<void> | undefined

async function loadWasm(): Promise<void> {
  const folder = path.dirname(createRequire(import.meta.url).resolve('@prisma/schema-engine-wasm'))
  const bytes = readFileSync(path.join(folder, 'schema_engine_bg.wasm'))
  const imports = { './schema_engine_bg.js': engineModule }
  const { instance } = await WebAssembly.instantiate(bytes, imports)
  const exports = instance.exports as { __wbindgen_start?: () => void }
  engineModule.__wbg_set_wasm(exports)
  exports.__wbindgen_start?.()
}
