import type { ChildProcess } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import path from 'node:path'
import { Client } from 'pg'
import { findBinaries } from './embedded/binaries.ts'
import { openCluster, stopPostmaster } from './embedded/cluster.ts'
import { lockDirectory } from './embedded/directory-lock.ts'
import { findFreePort, startServer } from './embedded/postmaster.ts'
import { databaseName, databaseUser } from './embedded/settings.ts'
import { chooseLauncher } from './embedded/system-user.ts'

export interface EmbeddedPostgresOptions {
  /** Belongs to one process at a time; holds the cluster, its password and its log. */
  readonly dataDir: string
  /** A free one by default. */
  readonly port?: number
}

export interface EmbeddedPostgres {
  readonly connectionString: string
  /** Of the server process. */
  readonly pid: number
  /** Writes everything and ends; the data stay. */
  stop(): Promise<void>
}

/**
 * A real Postgres from npm's binaries on loopback, over a directory that is made at the first start and reused after. Works
 * as root, and after a kill of this process or of the server.
 * Throws config_invalid when the platform has no binaries or another process uses the directory, unavailable when the
 * server does not start.
 */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const binaries = await findBinaries()
  const root = path.resolve(options.dataDir)
  mkdirSync(root, { recursive: true })
  const launcher = chooseLauncher([binaries.postgres, path.join(root, 'cluster')])
  const unlock = lockDirectory(root)
  try {
    const { dir: clusterDir, password } = await openCluster(root, binaries, launcher)
    const port = options.port ?? (await findFreePort())
    const logFile = path.join(root, 'postgres.log')
    const child = await startServer({ postgres: binaries.postgres, clusterDir, password, port, logFile, launcher })
    const url = (database: string) => `postgresql://${databaseUser}:${password}@127.0.0.1:${port}/${database}`
    await createDatabase(url('postgres'), databaseName)
    return handle(child, url(databaseName), unlock)
  } catch (error) {
    unlock()
    throw error
  }
}

function handle(child: ChildProcess, connectionString: string, unlock: () => void): EmbeddedPostgres {
  const pid = child.pid ?? 0
  // A role that exits without stopping would leave the server behind.
  const stopAtExit = () => child.kill('SIGINT')
  process.once('exit', stopAtExit)
  let stopped: Promise<void> | undefined
  const stop = async () => {
    process.off('exit', stopAtExit)
    child.ref()
    await stopPostmaster(pid)
    unlock()
  }
  return { connectionString, pid, stop: () => (stopped ??= stop()) }
}

async function createDatabase(connectionString: string, name: string): Promise<void> {
  const client = new Client({ connectionString })
  await client.connect()
  try {
    const { rowCount } = await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [name])
    if (rowCount === 0) await client.query(`CREATE DATABASE ${client.escapeIdentifier(name)}`)
  } finally {
    await client.end()
  }
}
