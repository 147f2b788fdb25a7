import { execFile } from 'node:child_process'
import { statfs } from 'node:fs/promises'
import path from 'node:path'
import { promisify } from 'node:util'
import type { Config } from '../config.ts'
import { HastenError, messageOf } from '../errors.ts'
import { createClient } from './client.ts'

type Status = 'ok' | 'info' | 'bad'

interface Finding {
  readonly status: Status
  readonly text: string
}

type Check = (config: Config) => Promise<Finding>

const ok = (text: string): Finding => ({ status: 'ok', text })
const info = (text: string): Finding => ({ status: 'info', text })
const bad = (text: string): Finding => ({ status: 'bad', text })

const minimumNode = 24
const minimumFreeBytes = 2 ** 30

/** Everything a first start or a support question needs, each by really trying it. */
const checks: Readonly<Record<string, Check>> = {
  node: async () => {
    const major = Number(process.versions.node.split('.')[0])
    return major >= minimumNode ? ok(process.version) : bad(`${process.version}; needs ${minimumNode} or newer`)
  },
  runtime: async (config) => {
    const { createRuntime } = await import('../roles/runtime.ts')
    const runtime = await createRuntime(config.runtime)
    const providers = runtime.availableProviders().join(', ')
    await runtime.close()
    return ok(`ONNX Runtime ${runtime.version} through ${runtime.name}: ${providers}`)
  },
  cpu: async () => {
    const { describeCpu } = await import('../jobs/hosts/cpu.ts')
    const { model, isa } = await describeCpu()
    const fast = isa.some((flag) => flag.includes('vnni') || flag.includes('amx_int8') || flag.includes('dotprod'))
    return info(`${model}: ${isa.join(' ')}${fast ? '' : '; no int8 dot product, so int8 may not be faster here'}`)
  },
  gpu: async () => {
    const { listGpus } = await import('../jobs/hosts/gpu.ts')
    const gpus = await listGpus()
    return info(
      gpus.length === 0
        ? 'none (that is fine)'
        : gpus.map(({ name, driver }) => `${name}, driver ${driver}`).join('; '),
    )
  },
  disk: async (config) => {
    const { bavail, bsize } = await statfs(path.dirname(path.resolve(config.dataDir)))
    const free = bavail * bsize
    const text = `${(free / 2 ** 30).toFixed(1)} GiB free for ${path.resolve(config.dataDir)}`
    return free > minimumFreeBytes ? ok(text) : bad(text)
  },
  postgres: async (config) => {
    if (config.databaseUrl === undefined) return info('embedded (DATABASE_URL is not set)')
    const { openStorage } = await import('../storage/index.ts')
    const storage = await openStorage({ connectionString: config.databaseUrl, maxConnections: 1 })
    try {
      await storage.ping()
      return ok('DATABASE_URL answers')
    } finally {
      await storage.close()
    }
  },
  redis: async (config) => {
    if (config.redisUrl === undefined) return info('not used (REDIS_URL is not set); Postgres carries the queue')
    const { createQueueClient } = await import('../jobs/client.ts')
    const { createLogger } = await import('../telemetry.ts')
    const logger = createLogger({ level: 'silent', role: 'doctor' })
    const { redisUrl, queuePrefix: prefix } = config
    const queue = createQueueClient({ redisUrl, connectionString: '', prefix, logger })
    try {
      await queue.depths()
      return ok('REDIS_URL answers')
    } finally {
      await queue.close()
    }
  },
  pinning: async () => {
    const found = await promisify(execFile)('taskset', ['--version']).catch(() => undefined)
    return found === undefined ? info('no taskset: worker slots share the CPUs') : ok('taskset pins worker slots')
  },
  api: async (config) => {
    const client = await createClient(config)
    const answer = await client.fetch('/readyz').catch((error: unknown) => messageOf(error))
    return typeof answer === 'string'
      ? info(`${answer}; start one with \`hasten start\``)
      : ok(`${client.baseUrl} is ready`)
  },
}

const marks: Readonly<Record<Status, string>> = { ok: '✔', info: '·', bad: '✘' }

/** Runs every check, prints a line each; 1 when one found something that keeps Hasten from working. */
export async function diagnose(config: Config): Promise<0 | 1> {
  let worst: 0 | 1 = 0
  for (const [name, check] of Object.entries(checks)) {
    const { status, text } = await check(config).catch(failed)
    if (status === 'bad') worst = 1
    process.stdout.write(`${marks[status]} ${name.padEnd(9)} ${text}\n`)
  }
  return worst
}

function failed(error: unknown): Finding {
  return bad(error instanceof HastenError ? `${error.message}. ${error.hint}` : messageOf(error))
}
