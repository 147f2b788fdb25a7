import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { request } from 'node:http'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { startHasten, type HastenProcess } from '../../scripts/lib/hasten-process.ts'
import type { JobView } from '../../src/cli/evidence.ts'

const digits = (name: string) => path.resolve(import.meta.dirname, '../../examples/digits', name)

let hasten: HastenProcess

beforeEach(async () => {
  hasten = await startHasten({ JOB_LEASE_MS: '3000', MEASURE_BUDGET_MS: '5000', LOG_LEVEL: 'fatal' })
})

afterEach(async () => {
  await hasten?.stop()
})

function childrenOf(pid: number): number[] {
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim()
  return text === '' ? [] : text.split(' ').map(Number)
}

function findRole(role: string): number | undefined {
  return childrenOf(hasten.process.pid!).find((pid) =>
    readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').includes(role),
  )
}

interface JobResource extends JobView {
  readonly stage: string | null
  readonly attempts: readonly { readonly n: number; readonly state: string; readonly reason: string | null }[]
}

async function startJob(): Promise<string> {
  const { client } = hasten
  const model = await client.upload<{ id: string }>('/v1/models', digits('digits.onnx'), { name: 'digits' })
  const { id } = await client.post<{ id: string }>('/v1/jobs', { model: model.id, recipe: 'int8-dynamic' })
  return id
}

async function waitFor(id: string, isThere: (job: JobResource) => boolean): Promise<JobResource> {
  for (;;) {
    const job = await hasten.client.get<JobResource>(`/v1/jobs/${id}`)
    if (isThere(job)) return job
    await delay(50)
  }
}

const isOver = ({ state }: JobResource) => ['succeeded', 'failed', 'canceled', 'expired'].includes(state)

describe.runIf(process.platform === 'linux')('the whole product', () => {
  test('kill -9 of the worker while it measures: the job is done by its successor, and published once', async () => {
    const id = await startJob()
    await waitFor(id, ({ stage }) => stage === 'measure')
    process.kill(findRole('worker')!, 'SIGKILL')
    const job = await waitFor(id, isOver)
    expect(job.state).toBe('succeeded')
    expect(job.attempts.map(({ state }) => state)).toEqual(['lost', 'succeeded'])
    const { data } = await hasten.client.get<{ data: { job: string | null }[] }>('/v1/models')
    expect(data.filter((model) => model.job === id)).toHaveLength(1)
  })

  test('kill -9 of the API: it comes back, and the job went on meanwhile', async () => {
    const id = await startJob()
    await waitFor(id, ({ state }) => state === 'running')
    process.kill(findRole('api')!, 'SIGKILL')
    await waitUntilReady()
    const job = await waitFor(id, isOver)
    expect(job).toMatchObject({ state: 'succeeded', attempts: [{ n: 1, state: 'succeeded' }] })
  })

  test('a client that goes away in the middle of an upload leaves nothing behind', async () => {
    await abortUpload()
    const { data } = await hasten.client.get<{ data: unknown[] }>('/v1/models')
    expect(data).toEqual([])
    expect((await hasten.client.fetch('/livez')).status).toBe(200)
  })

  test('SIGTERM ends every process it started, Postgres too', async () => {
    const family = listProcesses()
    const descendants = (pid: number): number[] => {
      const children = family.filter(({ parent }) => parent === pid).map((row) => row.pid)
      return [...children, ...children.flatMap(descendants)]
    }
    const before = descendants(hasten.process.pid!)
    expect(before.length).toBeGreaterThan(4)
    await hasten.stop()
    // Whoever adopts an orphan takes a moment to collect it.
    await expect.poll(() => before.filter(isAlive), { timeout: 5_000 }).toEqual([])
  })
})

function listProcesses(): { pid: number; parent: number }[] {
  const lines = execFileSync('ps', ['-eo', 'pid=,ppid='], { encoding: 'utf8' }).trim().split('\n')
  return lines.map((line) => {
    const [pid = 0, parent = 0] = line.trim().split(/\s+/).map(Number)
    return { pid, parent }
  })
}

async function waitUntilReady(): Promise<void> {
  for (;;) {
    const answer = await hasten.client.fetch('/readyz').catch(() => undefined)
    if (answer?.status === 200) return
    await delay(100)
  }
}

async function abortUpload(): Promise<void> {
  const { hostname, port } = new URL(hasten.url)
  const key = readFileSync(path.join(hasten.dataDir, 'admin-key'), 'utf8').trim()
  const headers = {
    authorization: `Bearer ${key}`,
    'content-type': 'application/octet-stream',
    'content-length': 10_000_000,
  }
  const upload = request({ hostname, port, method: 'PUT', path: '/v1/models/half/content', headers })
  upload.on('error', () => {})
  upload.write(Buffer.alloc(3_000_000))
  await delay(500)
  upload.destroy()
  await delay(500)
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
