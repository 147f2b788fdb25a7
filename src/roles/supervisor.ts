import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { HastenError } from '../errors.ts'
import type { Logger } from '../telemetry.ts'
import type { ReadyMessage } from './lifecycle.ts'
import { serveFlags } from './serve-flags.ts'

const command = fileURLToPath(new URL('../../bin/hasten.mjs', import.meta.url))
const restartDelayMs = 1000

export interface SupervisedRole {
  /** Where the role answered when it was last ready. */
  readonly url: string | undefined
  /** Asks the role to stop and waits until it has; after the grace it is killed. */
  stop(): Promise<void>
}

export interface SuperviseOptions {
  readonly role: string
  readonly environment: NodeJS.ProcessEnv
  readonly logger: Logger
  readonly graceMs: number
}

/**
 * Runs a role as a child process and starts it again when it dies.
 * @throws HastenError `unavailable` when it ends before it was ready the first time
 */
export async function superviseRole(options: SuperviseOptions): Promise<SupervisedRole> {
  const { role, logger, graceMs } = options
  let stopping = false
  let child = forkRole(options)
  const { url } = await waitUntilReady(child, role)

  const keepAlive = async () => {
    for (;;) {
      await ended(child)
      if (stopping) return
      logger.error({ role, code: child.exitCode, signal: child.signalCode }, 'a role died; starting it again')
      await delay(restartDelayMs)
      if (stopping) return
      child = forkRole(options)
    }
  }
  const watched = keepAlive()

  return {
    url,
    async stop() {
      stopping = true
      child.kill('SIGTERM')
      const force = setTimeout(() => child.kill('SIGKILL'), graceMs)
      await watched
      clearTimeout(force)
    },
  }
}

function forkRole({ role, environment }: SuperviseOptions): ChildProcess {
  const execArgv = role === 'serve' ? [...process.execArgv, ...serveFlags] : process.execArgv
  return fork(command, [role], { env: environment, execArgv, stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
}

async function waitUntilReady(child: ChildProcess, role: string): Promise<ReadyMessage> {
  const ready = once(child, 'message').then(([message]) => message as ReadyMessage)
  const gone = ended(child).then((): never => {
    throw new HastenError('unavailable', `the ${role} role ended before it was ready`, { hint: 'Its log says why.' })
  })
  return Promise.race([ready, gone])
}
