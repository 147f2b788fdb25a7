import { spawn, spawnSync } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { freePort } from '../../scripts/lib/free-port.ts'

export interface TestRedis {
  readonly url: string
  /** SIGKILL and start again on the same port with nothing in it; undefined for a server that isn't ours. */
  readonly restart: (() => Promise<void>) | undefined
  stop(): Promise<void>
}

/** Why there is no Redis for tests; undefined when there is one. Suites are skipped with this as their reason. */
export function redisMissing(): string | undefined {
  if (givenUrl() !== undefined) return undefined
  const found = spawnSync('redis-server', ['--version']).error === undefined
  return found ? undefined : 'no redis-server on PATH and neither TEST_REDIS_URL nor REDIS_URL is set'
}

/** The Redis of TEST_REDIS_URL or REDIS_URL, else a `redis-server` of our own on a free loopback port. */
export async function startRedis(): Promise<TestRedis> {
  const given = givenUrl()
  if (given !== undefined) return { url: given, restart: undefined, stop: async () => undefined }
  const port = await freePort()
  const dir = await mkdtemp(join(tmpdir(), 'hasten-redis-'))
  let server = await launch(port, dir)
  return {
    url: `redis://127.0.0.1:${port}`,
    async restart() {
      await end(server)
      server = await launch(port, dir)
    },
    async stop() {
      await end(server)
      await rm(dir, { recursive: true, force: true })
    },
  }
}

function givenUrl(): string | undefined {
  return process.env['TEST_REDIS_URL'] ?? process.env['REDIS_URL']
}

type Server = ReturnType<typeof spawn>

async function launch(port: number, dir: string): Promise<Server> {
  const options = ['--port', String(port), '--bind', '127.0.0.1', '--dir', dir, '--save', '', '--appendonly', 'no']
  const server = spawn('redis-server', [...options, '--maxmemory-policy', 'noeviction'], { stdio: 'ignore' })
  const client = new Redis(port, '127.0.0.1', { maxRetriesPerRequest: null, retryStrategy: () => 50 })
  client.on('error', () => undefined)
  await client.ping()
  client.disconnect()
  return server
}

async function end(server: Server): Promise<void> {
  const exited = new Promise((resolve) => server.once('exit', resolve))
  server.kill('SIGKILL')
  await exited
}
