import cluster, { type Worker } from 'node:cluster'
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { cpuAffinity } from '../jobs/hosts/cpu.ts'
import { usableCores } from '../jobs/hosts/cgroup.ts'
import { childEnvironment, type Config } from '../config.ts'
import { HastenError } from '../errors.ts'
import { createClusterMetrics, type Logger } from '../telemetry.ts'
import { openDatabase } from './database.ts'
import { closeAll, type RunningRole } from './lifecycle.ts'
import { isMetricsRequest, type MetricsAnswer } from './shared-metrics.ts'
import { urlHost } from './url-host.ts'
import { serveFlags } from './serve-flags.ts'

const command = fileURLToPath(new URL('../../bin/hasten.mjs', import.meta.url))
const restartDelayMs = 1000

interface Member {
  readonly worker: Worker
  /** From 0; no two that live at a time have the same. */
  readonly number: number
}

/**
 * Several data planes behind one port, each with its part of the host. One that dies is started again; SIGHUP replaces
 * each by a new one, which takes connections only once it has loaded the deployments.
 */
export async function startServeProcesses(config: Config, logger: Logger): Promise<RunningRole> {
  const database = await openDatabase(config, logger)
  const environment = await shareOf(config, database.connectionString)
  const group = createGroup(config, environment, logger)
  const close = async () => closeAll([async () => group.stop(), async () => database.close()])
  try {
    await group.start()
  } catch (error) {
    await close()
    throw error
  }
  const url = `http://${urlHost(config.host)}:${config.servePort}`
  return { url, onHangup: () => void group.restart(), close }
}

/** The settings of one of so many: what the host has is divided among them. */
async function shareOf(config: Config, connectionString: string): Promise<NodeJS.ProcessEnv> {
  const { serveProcesses: count, serveMemoryBytes, cacheBytes, serveRateLimit } = config
  const cores = config.runsInFlight ?? (await usableCores(undefined, (await cpuAffinity()).length))
  const share = (whole: number) => String(Math.max(1, Math.floor(whole / count)))
  return {
    DATABASE_URL: connectionString,
    RUNS_IN_FLIGHT: share(cores),
    // While one is replaced there is one more.
    CACHE_BYTES: String(Math.floor(cacheBytes / (count + 1))),
    ...(serveMemoryBytes === undefined ? {} : { SERVE_MEMORY_BYTES: share(serveMemoryBytes) }),
    ...(serveRateLimit === 0 ? {} : { SERVE_RATE_LIMIT: share(serveRateLimit) }),
  }
}

function createGroup(config: Config, environment: NodeJS.ProcessEnv, logger: Logger) {
  const { serveProcesses: count, shutdownGraceMs, shutdownDelayMs } = config
  const members = new Set<Member>()
  const stopped = new Set<Worker>()
  const metrics = createClusterMetrics()
  let restarting = Promise.resolve()
  let stopping = false
  // The primary accepts and hands over: a connection is never left with a process that ends.
  cluster.schedulingPolicy = cluster.SCHED_RR
  cluster.setupPrimary({ exec: command, args: ['serve'], execArgv: [...process.execArgv, ...serveFlags] })

  /** @param isLate others serve already: it must not get connections before it can answer them */
  async function add(isLate: boolean): Promise<void> {
    const taken = new Set([...members].map(({ number }) => number))
    const number = Array.from({ length: count + 1 }, (_, index) => index).find((index) => !taken.has(index)) ?? count
    const own = { SERVE_PROCESS: String(number), SERVE_WHEN_LOADED: String(isLate) }
    const worker = cluster.fork(childEnvironment({ ...environment, ...own }))
    const member = { worker, number }
    members.add(member)
    worker.on(
      'message',
      (message: unknown) => void answerMetrics(async () => metrics.scrape(), worker, message, logger),
    )
    worker.once('exit', (code, signal) => {
      members.delete(member)
      if (stopping || stopped.has(worker)) return
      logger.error({ process: number, code, signal }, 'a data plane died; starting it again')
      void delay(restartDelayMs).then(() => (stopping ? undefined : add(true).catch(() => {})))
    })
    await untilReady(worker, number)
  }

  async function remove({ worker }: Member): Promise<void> {
    stopped.add(worker)
    if (worker.isDead()) return
    const force = setTimeout(() => worker.process.kill('SIGKILL'), shutdownGraceMs + shutdownDelayMs + drainMs)
    worker.process.kill('SIGTERM')
    await once(worker, 'exit')
    clearTimeout(force)
  }

  async function replaceAll(): Promise<void> {
    const old = [...members]
    for (const member of old) {
      if (stopping) return
      await add(true)
      await remove(member)
    }
    logger.info({ processes: members.size }, 'every data plane was replaced')
  }

  return {
    start: async () => void (await Promise.all(Array.from({ length: count }, () => add(false)))),
    restart: () =>
      (restarting = restarting
        .then(replaceAll)
        .catch((error: unknown) => logger.error({ err: error }, 'a data plane was not replaced'))),
    async stop() {
      stopping = true
      await Promise.all([...members].map(remove))
      await restarting
    },
  }
}

/** What closing takes besides the grace for requests. */
const drainMs = 5000

/** @throws HastenError `unavailable` when it ends before */
async function untilReady(worker: Worker, number: number): Promise<void> {
  const waiting = new AbortController()
  const { signal } = waiting
  const ready = new Promise<void>((resolve) => {
    const look = (message: unknown) => {
      if ((message as { type?: unknown }).type !== 'ready') return
      worker.off('message', look)
      resolve()
    }
    worker.on('message', look)
  })
  const gone = once(worker, 'exit', { signal }).then((): never => {
    throw new HastenError('unavailable', `data plane ${number} ended before it was ready`, {
      hint: 'Its log says why.',
    })
  })
  try {
    await Promise.race([ready, gone])
  } finally {
    waiting.abort()
    await Promise.allSettled([gone])
  }
}

/** Whichever process is scraped answers for all. */
async function answerMetrics(
  scrape: () => Promise<string>,
  worker: Worker,
  message: unknown,
  logger: Logger,
): Promise<void> {
  if (!isMetricsRequest(message)) return
  try {
    const answer: MetricsAnswer = { type: 'hasten:metrics', id: message.id, text: await scrape() }
    worker.send(answer)
  } catch (error) {
    logger.warn({ err: error }, 'the metrics of the data planes could not be added up')
  }
}
