import { readFileSync } from 'node:fs'
import path from 'node:path'
import { HastenError, messageOf, type ErrorItem } from './errors.ts'

/** One setting: its environment variable, how its text is read, what it is when unset, and what it means. */
interface Setting<T> {
  readonly env: string
  readonly parse: (text: string) => T
  readonly fallback: T
  readonly help: string
  /** Never printed; may also come from the file that `<env>_FILE` names. */
  readonly secret: boolean
}

type Describe<T> = (env: string, fallback: T, help: string) => Setting<T>

const plain =
  <T>(parse: (text: string) => T): Describe<T> =>
  (env, fallback, help) => ({ env, parse, fallback, help, secret: false })

const text = plain<string>((value) => value)
const optionalText = plain<string | undefined>((value) => value)
const integer = plain<number>(readInteger)
const optionalInteger = plain<number | undefined>(readInteger)
const bytes = plain<number>(readBytes)
const optionalBytes = plain<number | undefined>(readBytes)
const flag = plain<boolean>((value) => readChoice(value, ['true', 'false']) === 'true')
const list = plain<readonly string[]>((value) => value.split(',').map((item) => item.trim()))
const positive = plain<number>(readPositive)
const share = plain<number>(readShare)
const labels = plain<Readonly<Record<string, string>>>(readLabels)
const secret: Describe<string | undefined> = (env, fallback, help) => ({
  ...optionalText(env, fallback, help),
  secret: true,
})

function choice<const C extends string>(env: string, choices: readonly C[], fallback: C, help: string): Setting<C> {
  return { env, parse: (value) => readChoice(value, choices), fallback, help, secret: false }
}

const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const
const gibibyte = 2 ** 30

/** Every setting of Hasten. README.md's table lists exactly these; a test keeps the two in step. */
export const settings = {
  host: text('HOST', '127.0.0.1', 'Address the API and the data plane bind'),
  port: integer('PORT', 8080, 'Port of the API; with a data plane behind it, of `/v2` too'),
  servePort: integer('SERVE_PORT', 8081, 'Port of the data plane'),
  grpcPort: optionalInteger('GRPC_PORT', undefined, 'Port of the data plane for gRPC, 8001 by custom; none when unset'),
  workerPort: integer('WORKER_PORT', 8082, 'Port of a worker for probes and metrics; 0 for none'),
  serveUrl: optionalText('SERVE_URL', undefined, 'Where the API forwards `/v2` to; `hasten start` sets it itself'),
  publicServeUrl: optionalText(
    'PUBLIC_SERVE_URL',
    undefined,
    'Where clients reach this data plane, as deployments show it',
  ),
  auth: choice('AUTH', ['keys', 'none'], 'keys', '`keys`, or `none` on a loopback bind only'),
  databaseUrl: secret('DATABASE_URL', undefined, 'Postgres; an embedded one in the data directory when unset'),
  redisUrl: secret('REDIS_URL', undefined, 'Redis for the job queues; Postgres carries them when unset'),
  queuePrefix: text('QUEUE_PREFIX', 'hasten', 'Prefix of the queue keys, for several installations on one Redis'),
  dataDir: text('DATA_DIR', '.hasten', 'Embedded database, cache, host id, working files'),
  cacheBytes: bytes('CACHE_BYTES', 10 * gibibyte, 'Most that the on-disk artifact cache of a host may hold'),
  serveMemoryBytes: optionalBytes(
    'SERVE_MEMORY_BYTES',
    undefined,
    'Bytes of models a data plane keeps loaded; the least recently used give way',
  ),
  maxUploadBytes: bytes('MAX_UPLOAD_BYTES', 8 * gibibyte, 'Largest model or dataset accepted'),
  maxInferBytes: bytes('MAX_INFER_BYTES', gibibyte / 16, 'Largest prediction request, also when decompressed'),
  maxJsonTensorBytes: bytes('MAX_JSON_TENSOR_BYTES', 2 ** 24, 'Largest tensor accepted as JSON text'),
  rateLimit: integer('RATE_LIMIT', 1200, 'API requests a minute for one key or address; 0 for no limit'),
  serveProcesses: positive('SERVE_PROCESSES', 1, 'Data planes of this host behind one port; SIGHUP replaces them'),
  serveProcess: integer('SERVE_PROCESS', 0, 'Which of several data planes this is; set by the process above them'),
  serveWhenLoaded: flag(
    'SERVE_WHEN_LOADED',
    false,
    'Listen only once the deployments have been loaded or have failed; set for a data plane that replaces another',
  ),
  serveRateLimit: integer(
    'SERVE_RATE_LIMIT',
    0,
    'Requests a second that a data plane takes of one key on `/v2` and gRPC; 0 for no limit',
  ),
  servePollMicros: integer(
    'SERVE_POLL_MICROS',
    200,
    'How long a data plane looks for the next request before its core may sleep, where they follow closely; 0 for never',
  ),
  runtime: choice('RUNTIME', ['ort', 'ort-node'], 'ort', 'Runtime adapter: the C ABI, or the JavaScript binding'),
  deviceClasses: list('DEVICE_CLASSES', ['auto'], 'Device classes a worker serves; `auto` looks what the host has'),
  workerSlots: integer('WORKER_SLOTS', 1, 'Jobs a worker runs at once; each owns its CPU set or GPU'),
  workerName: optionalText('WORKER_NAME', undefined, 'Name of the host in answers; its host name when unset'),
  workerLabels: labels('WORKER_LABELS', {}, 'Labels jobs can ask for, as `key=value,key=value`'),
  jobMemoryBytes: bytes('JOB_MEMORY_BYTES', 4 * gibibyte, 'Memory limit of one job attempt'),
  inspectMemoryBytes: bytes('INSPECT_MEMORY_BYTES', 2 * gibibyte, 'Memory limit of one inspection, besides the file'),
  jobAttempts: integer('JOB_ATTEMPTS', 3, 'Attempts of a job before a lost worker or crash fails it'),
  jobLeaseMs: integer('JOB_LEASE_MS', 30_000, 'Claim of an attempt; renewed at a third of it'),
  cancelGraceMs: integer('CANCEL_GRACE_MS', 10_000, 'Time a job process has to end before it is killed'),
  runsInFlight: optionalInteger(
    'RUNS_IN_FLIGHT',
    undefined,
    'Predictions a data plane runs at once; its cores when unset',
  ),
  checkpointMs: integer('CHECKPOINT_MS', 15_000, 'Least time between two checkpoints of a training'),
  measureBudgetMs: integer('MEASURE_BUDGET_MS', 15_000, 'Time a job spends on interleaved runs of both models'),
  webhookPrivate: flag('WEBHOOK_PRIVATE', false, 'Deliver webhooks to private and loopback addresses too'),
  apiUrl: optionalText('HASTEN_URL', undefined, 'Where `hasten run`, `deploy` and `doctor` find the API'),
  apiKey: secret('HASTEN_KEY', undefined, 'Key they send; else the one `hasten start` left in the data directory'),
  traceEndpoint: optionalText(
    'OTEL_EXPORTER_OTLP_ENDPOINT',
    undefined,
    'Collector that gets traces of predictions, by OTLP over HTTP; no tracing when unset',
  ),
  traceShare: share(
    'OTEL_TRACES_SAMPLER_ARG',
    1,
    'Share of requests traced, from 0 to 1, of those that come without a trace',
  ),
  logLevel: choice('LOG_LEVEL', logLevels, 'info', 'Least level logged'),
  shutdownDelayMs: integer('SHUTDOWN_DELAY_MS', 0, 'Time to serve on at SIGTERM while `/readyz` already answers 503'),
  shutdownGraceMs: integer('SHUTDOWN_GRACE_MS', 10_000, 'Time requests and jobs have to end at SIGTERM'),
} as const

/** All settings, read once and frozen. */
export type Config = { readonly [K in keyof typeof settings]: ReturnType<(typeof settings)[K]['parse']> }

type Environment = Readonly<Record<string, string | undefined>>

/**
 * Reads every setting from an environment.
 * @throws HastenError `config_invalid` listing every setting that is wrong
 */
export function loadConfig(environment: Environment = process.env): Config {
  const errors: ErrorItem[] = []
  const entries = Object.entries(settings).map(([name, setting]) => {
    try {
      return [name, readSetting(setting, environment)]
    } catch (error) {
      errors.push({ pointer: `/${setting.env}`, detail: messageOf(error) })
      return [name, undefined]
    }
  })
  const config = Object.freeze(Object.fromEntries(entries)) as Config
  if (errors.length === 0) errors.push(...checkTogether(config))
  if (errors.length === 0) return config
  const detail = errors.map((item) => `${item.pointer.slice(1)}: ${item.detail}`).join('; ')
  throw new HastenError('config_invalid', detail, { errors })
}

/** The environment of a forked role: this process's own, with what its parent decided on top. */
export function childEnvironment(overrides: Environment): Environment {
  return { ...process.env, ...overrides }
}

// What a program may need to run at all, and to find CUDA; nothing that this product is configured with.
const plainVariables = ['PATH', 'HOME', 'TMPDIR', 'TZ', 'LANG', 'LD_LIBRARY_PATH', 'NVIDIA_VISIBLE_DEVICES']

/** The environment of a child that runs models of strangers: no secrets, no settings. */
export function sandboxEnvironment(environment: Environment = process.env): Record<string, string> {
  return Object.fromEntries(
    plainVariables.flatMap((name) => (environment[name] === undefined ? [] : [[name, environment[name]]])),
  )
}

/** `ENV=value` lines of a configuration; secrets are shown as set or not. */
export function printConfig(config: Config): string[] {
  return Object.entries(settings).map(([name, setting]) => {
    const value = config[name as keyof Config]
    if (value === undefined) return `${setting.env}=`
    return `${setting.env}=${setting.secret ? '(set)' : formatValue(value)}`
  })
}

function readSetting(setting: Setting<unknown>, environment: Environment): unknown {
  const value = environment[setting.env]
  if (value !== undefined && value !== '') return setting.parse(value)
  const file = setting.secret ? environment[`${setting.env}_FILE`] : undefined
  return file === undefined ? setting.fallback : setting.parse(readFileSync(file, 'utf8').trim())
}

/** Rules that concern more than one setting. */
function checkTogether(config: Config): ErrorItem[] {
  if (config.auth === 'none' && !isLoopback(config.host)) {
    return [{ pointer: '/AUTH', detail: `none is accepted on a loopback bind only, and HOST is ${config.host}` }]
  }
  return []
}

export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || host.startsWith('127.')
}

/** Paths under the data directory, in one place. */
export function dataPaths(dataDir: string) {
  const root = path.resolve(dataDir)
  return {
    root,
    postgres: path.join(root, 'postgres'),
    cache: path.join(root, 'cache'),
    work: path.join(root, 'work'),
    slots: path.join(root, 'slots'),
    crashes: path.join(root, 'crashes'),
    hostId: path.join(root, 'host-id'),
    adminKey: path.join(root, 'admin-key'),
    databaseUrl: path.join(root, 'database-url'),
  }
}

function formatValue(value: unknown): string {
  if (Array.isArray(value)) return value.join(',')
  if (typeof value !== 'object' || value === null) return String(value)
  return Object.entries(value)
    .map(([key, item]) => `${key}=${String(item)}`)
    .join(',')
}

function readInteger(value: string): number {
  if (!/^\d{1,15}$/.test(value)) throw new Error(`expected a whole number, got "${value}"`)
  return Number(value)
}

const byteUnits: Readonly<Record<string, number>> = {
  '': 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
}

function readPositive(value: string): number {
  const count = readInteger(value)
  if (count === 0) throw new Error('expected a whole number from 1, got "0"')
  return count
}

function readShare(value: string): number {
  if (!/^(?:0(?:\.\d{1,9})?|1(?:\.0{1,9})?)$/.test(value))
    throw new Error(`expected a number from 0 to 1, got "${value}"`)
  return Number(value)
}

function readBytes(value: string): number {
  const match = /^(\d{1,15}(?:\.\d+)?)\s*([A-Za-z]*)$/.exec(value)
  const unit = byteUnits[match?.[2] ?? 'none']
  if (match === null || unit === undefined) throw new Error(`expected a size like 512MiB or 2GB, got "${value}"`)
  return Math.round(Number(match[1]) * unit)
}

function readChoice<C extends string>(value: string, choices: readonly C[]): C {
  const found = choices.find((candidate) => candidate === value)
  if (found === undefined) throw new Error(`expected one of ${choices.join(', ')}, got "${value}"`)
  return found
}

function readLabels(value: string): Record<string, string> {
  const pairs = value.split(',').map((pair) => pair.split('='))
  if (pairs.some((pair) => pair.length !== 2 || pair[0] === '')) throw new Error(`expected key=value,…, got "${value}"`)
  return Object.fromEntries(pairs) as Record<string, string>
}
