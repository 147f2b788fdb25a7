import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { Client } from 'pg'
import type { TestProject } from 'vitest/node'
import { startEmbeddedPostgres } from '../../src/storage/embedded.ts'
import { migrate } from '../../src/storage/migrate.ts'

declare module 'vitest' {
  interface ProvidedContext {
    /** A server for tests: its maintenance database and the migrated template that test databases are copies of. */
    testPostgres: { readonly adminUrl: string; readonly template: string }
  }
}

interface Server {
  readonly adminUrl: string
  readonly template: string
  readonly stop: () => Promise<void>
}

// Vitest sets up each project in a module graph of its own, in one process: the server is shared through it.
interface Shared {
  users: number
  server: Promise<Server>
}
const sharedKey = Symbol.for('hasten.test.postgres')
const shared = globalThis as { [sharedKey]?: Shared }

/** Vitest global setup: one Postgres for the whole run, TEST_DATABASE_URL's or an embedded one in a scratch directory. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const entry = (shared[sharedKey] ??= { users: 0, server: startServer() })
  entry.users += 1
  const { adminUrl, template, stop } = await entry.server
  project.provide('testPostgres', { adminUrl, template })
  return async () => {
    entry.users -= 1
    if (entry.users > 0) return
    delete shared[sharedKey]
    await stop()
  }
}

async function startServer(): Promise<Server> {
  const template = `hasten_template_${randomBytes(4).toString('hex')}`
  const external = process.env['TEST_DATABASE_URL']
  const embedded = external === undefined ? await startScratch() : undefined
  const adminUrl = external ?? embedded?.connectionString ?? ''
  await runSql(adminUrl, `CREATE DATABASE ${template}`)
  await migrate(withDatabase(adminUrl, template))
  const stop = async () => {
    if (embedded === undefined) await runSql(adminUrl, `DROP DATABASE ${template} WITH (FORCE)`)
    await embedded?.stop()
  }
  return { adminUrl, template, stop }
}

async function startScratch(): Promise<{ connectionString: string; stop(): Promise<void> }> {
  const dataDir = mkdtempSync(path.join(tmpdir(), 'hasten-test-postgres-'))
  const server = await startEmbeddedPostgres({ dataDir })
  const stop = async () => {
    await server.stop()
    rmSync(dataDir, { recursive: true })
  }
  return { connectionString: server.connectionString, stop }
}

export interface TestDatabase {
  readonly connectionString: string
  drop(): Promise<void>
}

/** A database of its own for a test file: a copy of the migrated template, or an empty one. */
export async function createTestDatabase({ empty = false } = {}): Promise<TestDatabase> {
  // Imported here, for the global setup runs outside of a test worker.
  const { inject } = await import('vitest')
  const { adminUrl, template } = inject('testPostgres')
  const name = `hasten_test_${randomBytes(6).toString('hex')}`
  await runSql(adminUrl, `CREATE DATABASE ${name} TEMPLATE ${empty ? 'template0' : template}`)
  const drop = async () => {
    await runSql(adminUrl, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`)
  }
  return { connectionString: withDatabase(adminUrl, name), drop }
}

export function withDatabase(connectionString: string, database: string): string {
  const url = new URL(connectionString)
  url.pathname = `/${database}`
  return url.href
}

/** One statement on a connection of its own. */
export async function runSql(
  connectionString: string,
  sql: string,
  values: readonly unknown[] = [],
): Promise<readonly Record<string, unknown>[]> {
  const client = new Client({ connectionString })
  await client.connect()
  try {
    const { rows } = await client.query<Record<string, unknown>>(sql, [...values])
    return rows
  } finally {
    await client.end()
  }
}
