import { mkdir } from 'node:fs/promises'
import { childEnvironment, dataPaths, type Config } from '../config.ts'
import type { Logger } from '../telemetry.ts'
import { ensureAdminKey } from './admin-key.ts'
import { openDatabase } from './database.ts'
import { closeAll, type RunningRole } from './lifecycle.ts'
import { superviseRole, type SupervisedRole } from './supervisor.ts'
import { urlHost } from './url-host.ts'

// The API comes last: once it answers, everything behind it does.
const roleNames = ['serve', 'worker', 'api'] as const

/**
 * Every role as a child of this process over one database: Postgres first (embedded when none is given), then the
 * data plane, the worker and the API. A role that dies is started again.
 */
export async function startAll(config: Config, logger: Logger): Promise<RunningRole> {
  const paths = dataPaths(config.dataDir)
  await mkdir(paths.root, { recursive: true })
  const database = await openDatabase(config, logger)
  const serveUrl = `http://${urlHost(config.host)}:${config.servePort}`
  const environment = childEnvironment({ DATABASE_URL: database.connectionString, SERVE_URL: serveUrl })
  const roles: SupervisedRole[] = []
  const close = async () =>
    closeAll([...roles.toReversed().map((role) => async () => role.stop()), async () => database.close()])
  try {
    const key = config.auth === 'keys' ? await ensureAdminKey(database.connectionString, paths.adminKey) : undefined
    for (const role of roleNames) {
      const graceMs = config.shutdownGraceMs + config.shutdownDelayMs
      roles.push(await superviseRole({ role, environment: withDelay(role, environment), logger, graceMs }))
    }
    const url = roles.at(-1)?.url ?? `http://${urlHost(config.host)}:${config.port}`
    process.stdout.write(welcome(config, { url, serveUrl, database: database.description, key }))
    return { url, close }
  } catch (error) {
    await close()
    throw error
  }
}

/** The API closes first, and the others only after it: waiting once is enough. */
function withDelay(role: string, environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return role === 'api' ? environment : { ...environment, SHUTDOWN_DELAY_MS: '0' }
}

interface Welcome {
  readonly url: string
  readonly serveUrl: string
  readonly database: string
  readonly key: string | undefined
}

function welcome(config: Config, { url, serveUrl, database, key }: Welcome): string {
  const lines = [
    ['API', `${url}   docs ${url}/docs`],
    ['Prediction', `${serveUrl}/v2   (also ${url}/v2)`],
    ['Database', database],
    ['Queue', config.redisUrl === undefined ? 'Postgres (set REDIS_URL for Redis)' : 'Redis'],
    ['Auth', key === undefined ? 'none (loopback only)' : `admin key in ${dataPaths(config.dataDir).adminKey}`],
  ]
  return `Hasten is ready\n${lines.map(([name = '', value = '']) => `  ${name.padEnd(12)}${value}\n`).join('')}`
}
