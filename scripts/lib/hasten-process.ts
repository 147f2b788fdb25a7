import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { freePort } from './free-port.ts'
import { createClient, type Client } from '../../src/cli/client.ts'
import { loadConfig } from '../../src/config.ts'

const command = path.resolve(import.meta.dirname, '../../bin/hasten.mjs')

/** `hasten start` as users run it: a process tree of its own on free ports over a fresh data directory. */
export interface HastenProcess {
  readonly url: string
  readonly serveUrl: string
  readonly dataDir: string
  readonly process: ChildProcess
  readonly client: Client
  /** Stops it the gentle way and removes its data. */
  stop(): Promise<void>
}

export async function startHasten(settings: Record<string, string> = {}): Promise<HastenProcess> {
  const dataDir = await mkdtemp(path.join(tmpdir(), 'hasten-'))
  const [port, servePort] = [await freePort(), await freePort()]
  const environment = {
    HOST: '127.0.0.1',
    PORT: String(port),
    SERVE_PORT: String(servePort),
    WORKER_PORT: '0',
    DATA_DIR: dataDir,
    LOG_LEVEL: process.env['LOG_LEVEL'] ?? 'warn',
    ...settings,
  }
  const child = fork(command, ['start'], {
    env: { ...process.env, ...environment },
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  const stop = async () => {
    await stopProcess(child)
    await rm(dataDir, { recursive: true, force: true })
  }
  try {
    await waitUntilReady(child)
    const url = `http://127.0.0.1:${port}`
    const client = await createClient(loadConfig({ ...environment, HASTEN_URL: url }))
    return { url, serveUrl: `http://127.0.0.1:${servePort}`, dataDir, process: child, client, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

async function waitUntilReady(child: ChildProcess): Promise<void> {
  const waiting = new AbortController()
  const ready = once(child, 'message', { signal: waiting.signal })
  const gone = once(child, 'exit', { signal: waiting.signal }).then(([code]) => {
    throw new Error(`hasten start ended with code ${code} before it was ready`)
  })
  try {
    await Promise.race([ready, gone])
  } finally {
    waiting.abort()
    await Promise.allSettled([ready, gone])
  }
}

async function stopProcess(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  child.kill('SIGTERM')
  await once(child, 'exit')
}
