import { setTimeout } from 'node:timers/promises'
import closeWithGrace from 'close-with-grace'
import { loadConfig, type Config } from '../config.ts'
import { HastenError, messageOf } from '../errors.ts'
import { createLogger, type Logger } from '../telemetry.ts'

/** A role that runs: where it answers (if it listens) and how to stop it. */
export interface RunningRole {
  readonly url?: string
  /** What SIGHUP does; it ends a role that has no answer to it. */
  onHangup?(): void
  close(): Promise<void>
}

export type StartRole = (config: Config, logger: Logger) => Promise<RunningRole>

/** What a role tells the process that forked it once it serves. */
export interface ReadyMessage {
  readonly type: 'ready'
  readonly url: string | undefined
}

/**
 * What native code dies of. A process that handles such a signal comes back to the same instruction and never ends, so
 * it must be left to the system.
 */
const crashSignals = ['SIGILL', 'SIGTRAP', 'SIGABRT', 'SIGBUS', 'SIGFPE', 'SIGSEGV'] as const

/**
 * Runs one role as this process: reads the configuration, starts, tells the parent that it is ready, and stops
 * gracefully at SIGTERM, SIGINT, an uncaught error, or when the parent is gone.
 */
export async function runRole(role: string, start: StartRole): Promise<void> {
  const config = loadConfig()
  const logger = createLogger({ level: config.logLevel, role })
  const running = await start(config, logger)
  const delay = config.shutdownDelayMs + config.shutdownGraceMs + 5000
  const survivesHangup = running.onHangup !== undefined
  if (survivesHangup) process.on('SIGHUP', () => running.onHangup?.())
  const skip = [...crashSignals, ...(survivesHangup ? (['SIGHUP'] as const) : [])]
  const grace = closeWithGrace({ delay, logger, skip }, async ({ err, signal }) => {
    if (err !== undefined) logger.error({ err }, 'stopping after an error')
    else logger.info({ signal }, 'stopping')
    await running.close()
  })
  if (process.send === undefined) return
  const ready: ReadyMessage = { type: 'ready', url: running.url }
  process.send(ready)
  process.once('disconnect', () => grace.close())
}

/** One line of what went wrong and one of what helps, for people; the exit code says error. */
export function reportFailure(error: unknown): void {
  const known = error instanceof HastenError ? error : undefined
  const title = known === undefined ? messageOf(error) : `${known.message} [${known.code}]`
  process.stderr.write(`hasten: ${title}\n`)
  for (const item of known?.errors ?? []) {
    const place =
      item.line === undefined ? item.pointer : `line ${item.line}, column ${item.column ?? 1}, ${item.pointer}`
    process.stderr.write(`  ${place}: ${item.detail}\n`)
  }
  if (known !== undefined) process.stderr.write(`  ${known.hint}\n`)
  process.exitCode = 1
}

/** Says that this process is about to stop and serves on for a while, so that load balancers can turn away first. */
export async function announceStop(stopping: AbortController, { shutdownDelayMs }: Config): Promise<void> {
  stopping.abort()
  await setTimeout(shutdownDelayMs)
}

/** Stops several things in order, each even if one before it failed; the first failure is thrown at the end. */
export async function closeAll(steps: readonly (() => unknown)[]): Promise<void> {
  const failures: unknown[] = []
  for (const step of steps) {
    try {
      await step()
    } catch (error) {
      failures.push(error)
    }
  }
  if (failures.length > 0) throw failures[0]
}
