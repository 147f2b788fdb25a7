import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { freePort } from '../../scripts/lib/free-port.ts'
import { ask, eventually, openBench, project, scale, untilReady, type Bench } from '../serving/deployments/support.ts'

const command = path.resolve(import.meta.dirname, '../../bin/hasten.mjs')
const clients = 8

let bench: Bench
let server: ChildProcess
let dir: string
let url: string

beforeAll(async () => {
  bench = await openBench()
  dir = await mkdtemp(path.join(tmpdir(), 'hasten-processes-'))
  const port = await freePort()
  url = `http://127.0.0.1:${port}`
  const settings = {
    DATABASE_URL: bench.connectionString,
    DATA_DIR: dir,
    HOST: '127.0.0.1',
    SERVE_PORT: String(port),
    SERVE_PROCESSES: '2',
    AUTH: 'none',
    LOG_LEVEL: 'warn',
  }
  const modelId = (await bench.store('scaled', scale(2))).id
  await bench.storage.deployments.create({ project, name: 'scaled', modelId })
  server = fork(command, ['serve'], {
    env: { ...process.env, ...settings },
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  await once(server, 'message')
})

afterAll(async () => {
  if (server.exitCode === null && server.signalCode === null) {
    server.kill('SIGTERM')
    await once(server, 'exit')
  }
  await rm(dir, { recursive: true, force: true })
  await bench.close()
})

async function replicas(): Promise<readonly string[]> {
  const row = await bench.storage.deployments.find(project, 'scaled')
  return row!.versions[0]!.replicas.filter(({ state }) => state === 'ready').map(({ serverId }) => serverId)
}

async function children(): Promise<readonly number[]> {
  const text = await readFile(`/proc/${server.pid}/task/${server.pid}/children`, 'utf8')
  return text.trim().split(' ').filter(Boolean).map(Number)
}

async function scrape(series: RegExp): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text()
  return Number(series.exec(text)?.[1] ?? 0)
}

const answered = () => scrape(/^nv_inference_request_success\{.*\} (\d+)$/m)
const loaded = () => scrape(/^hasten_model_versions\{state="ready"\} (\d+)$/m)

test('several processes serve one port, are told apart in the database, and their metrics are added up', async () => {
  const both = await eventually(async () => {
    const ready = await replicas()
    return ready.length === 2 ? ready : undefined
  })
  expect(new Set(both).size).toBe(2)
  const asked = 40
  for (let time = 0; time < asked; time++) {
    // Each on a connection of its own, which the processes get by turns.
    const answer = await fetch(`${url}/v2/models/scaled/infer`, {
      method: 'POST',
      headers: { connection: 'close' },
      body: JSON.stringify({ inputs: [{ name: 'x', shape: [1, 2], datatype: 'FP32', data: [1, 2] }] }),
    })
    expect(answer.status).toBe(200)
    await answer.arrayBuffer()
  }
  expect(await answered()).toBe(asked)
})

test('SIGHUP replaces every process, and no request fails meanwhile', async () => {
  await untilReady(url, 'scaled')
  const [before, ids, countedBefore] = [await children(), await replicas(), await answered()]
  const ended = new AbortController()
  const statuses: number[] = []
  const wrong: unknown[] = []
  const working = Array.from({ length: clients }, async () => {
    while (!ended.signal.aborted) {
      const { status, data } = await ask(url, 'scaled').catch((error: unknown) => ({ status: 0, data: error }))
      statuses.push(status)
      if (status !== 200 || JSON.stringify(data) !== '[2,4]') wrong.push([status, data])
    }
  })
  server.kill('SIGHUP')
  await eventually(async () => {
    const now = await children()
    return now.length === 2 && now.every((pid) => !before.includes(pid)) ? true : undefined
  })
  const seen = statuses.length
  await eventually(async () => (statuses.length > seen + 100 ? true : undefined))
  ended.abort()
  await Promise.all(working)
  expect(wrong).toEqual([])
  expect(statuses.length).toBeGreaterThan(100)
  const after = await eventually(async () => {
    const ready = await replicas()
    return ready.length === 2 && ready.every((id) => !ids.includes(id)) ? ready : undefined
  })
  expect(new Set(after).size).toBe(2)
  // What the old ones had counted is not gone with them, nor are their gauges still there.
  expect(await answered()).toBe(countedBefore + statuses.length)
  expect(await loaded()).toBe(2)
})

test('a process that dies is started again, while the others serve', async () => {
  const before = await children()
  process.kill(before[0]!, 'SIGKILL')
  await eventually(async () => {
    const now = await children()
    return now.length === 2 && !now.includes(before[0]!) ? true : undefined
  })
  expect((await ask(url, 'scaled')).status).toBe(200)
})
