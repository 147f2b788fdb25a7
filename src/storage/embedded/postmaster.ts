import { spawn, type ChildProcess } from 'node:child_process'
import { closeSync, openSync, readFileSync, rmSync, statSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { Client } from 'pg'
import { HastenError } from '../../errors.ts'
import { databaseUser, serverArguments } from './settings.ts'
import type { Launcher } from './system-user.ts'

export interface ServerPlan {
  readonly postgres: string
  readonly clusterDir: string
  readonly password: string
  readonly port: number
  readonly logFile: string
  readonly launcher: Launcher
}

const startTimeoutMs = 60_000
const maxLogBytes = 16 * 1024 ** 2
// What goes away by itself: backends of a killed server that still end, or a port taken between choosing and binding.
const passingTrouble =
  /pre-existing shared memory block|[Aa]ddress already in use|lock file "postmaster.pid" already exists/

/** Starts the server and waits until it answers. */
export async function startServer(plan: ServerPlan): Promise<ChildProcess> {
  const end = Date.now() + startTimeoutMs
  for (;;) {
    const child = spawnServer(plan)
    if (await answers(child, plan, end)) return child
    const said = logTail(plan.logFile)
    if (!passingTrouble.test(said) || Date.now() > end) {
      child.kill('SIGQUIT')
      throw new HastenError('unavailable', `The embedded Postgres did not start: ${said.trim().slice(-2000)}`, {
        hint: `See ${plan.logFile}.`,
      })
    }
    await sleep(250)
  }
}

// In its own session, so that Ctrl-C ends us first and the database last; a log file, so that it can outlive a pipe.
function spawnServer({ postgres, clusterDir, port, logFile, launcher }: ServerPlan): ChildProcess {
  if ((statSync(logFile, { throwIfNoEntry: false })?.size ?? 0) > maxLogBytes) rmSync(logFile)
  const log = openSync(logFile, 'a')
  try {
    const stdio: ['ignore', number, number] = ['ignore', log, log]
    const [file, parameters] = launcher.command(postgres, serverArguments(clusterDir, port))
    const child = spawn(file, parameters, { ...launcher.options, stdio, detached: true, cwd: '/' })
    child.unref()
    return child
  } finally {
    closeSync(log)
  }
}

async function answers(child: ChildProcess, { password, port }: ServerPlan, end: number): Promise<boolean> {
  const ended = new AbortController()
  for (const event of ['exit', 'error']) child.once(event, () => ended.abort())
  while (!ended.signal.aborted && Date.now() < end) {
    if (await canConnect(port, password)) return true
    await sleep(50)
  }
  return false
}

async function canConnect(port: number, password: string): Promise<boolean> {
  const client = new Client({ host: '127.0.0.1', port, user: databaseUser, password, database: 'postgres' })
  client.on('error', () => undefined)
  try {
    await client.connect()
    return true
  } catch {
    return false
  } finally {
    await client.end()
  }
}

function logTail(file: string): string {
  return readFileSync(file, 'utf8').slice(-4000)
}

/** A port of the loopback interface that nobody listens on. */
export async function findFreePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}
