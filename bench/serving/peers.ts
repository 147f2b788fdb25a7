import { execFileSync, fork, spawn, type ChildProcess } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort } from '../../scripts/lib/free-port.ts'
import { buildModel } from '../../test/support/models.ts'
import type { BenchResult } from '../result.ts'
import { estimateMedian, estimateRatio, quantile } from '../stats.ts'
import type { Message } from './connection.ts'
import type { ExchangeRequest, ExchangeResult } from './exchange-child.ts'
import { ask, jsonInfer, startLoader, startServer, stop, type Loader } from './servers.ts'

/** Interpreters, with commas between, which have onnxruntime and some of the peers. */
const interpreters = (process.env['HASTEN_BENCH_PEERS'] ?? '').split(',').filter(Boolean)
const names = ['mlserver', 'bentoml', 'litserve'] as const
const size = 256
const rounds = 15
const perRound = 1000
const connections = 8
const secondsPerRound = 1
const startMs = 60_000
const targets = { added: 5, throughput: 2 }

interface Contestant {
  readonly name: string
  readonly child: ChildProcess
  /** It has children of its own, which end with it only when all are told. */
  readonly isGroup: boolean
  readonly origin: string
  readonly message: Message
  /** Milliseconds of a run with nothing around it; undefined when the server says what each took. */
  readonly runMs: number | undefined
  /** Milliseconds that an answer takes longer than a run. */
  readonly added: number[]
  readonly rate: number[]
}

/**
 * What is added to a run at one connection, and requests per second at eight, of one tiny model and 256 floats as JSON,
 * which all of them take: what is around a run is nearly all there is. One process each, in turns.
 */
export async function run(): Promise<BenchResult> {
  const dir = await mkdtemp(path.join(tmpdir(), 'hasten-peers-'))
  const contestants: Contestant[] = []
  const loader = startLoader()
  const client = fork(path.join(import.meta.dirname, 'exchange-child.ts'), { serialization: 'advanced' })
  try {
    const file = path.join(dir, 'mean.onnx')
    await writeFile(file, buildMean())
    contestants.push(await startOurs(file))
    for (const name of names) {
      const python = interpreters.find((each) => canImport(each, name))
      if (python !== undefined) contestants.push(await startPeer(python, name, file))
    }
    await measure(contestants, client, loader)
    return report(contestants)
  } finally {
    for (const { child, isGroup } of contestants) if (isGroup) process.kill(-(child.pid ?? 0), 'SIGKILL')
    for (const { child } of [...contestants, { child: client }, loader]) await stop(child)
    await rm(dir, { recursive: true })
  }
}

function buildMean(): Uint8Array {
  return buildModel({
    inputs: { x: ['float32', [1, 'N']] },
    outputs: { y: ['float32', [1, 1]] },
    nodes: [['ReduceMean', ['x'], ['y'], { axes: [1], keepdims: 1 }]],
  })
}

const values = Array.from({ length: size }, (_, index) => index / 8)

async function startOurs(file: string): Promise<Contestant> {
  const { child, origin } = await startServer('hasten-server.ts', [file])
  const message = jsonInfer('x', [1, size], values)
  return { name: 'Hasten', child, isGroup: false, origin, message, runMs: undefined, added: [], rate: [] }
}

function canImport(python: string, name: string): boolean {
  try {
    execFileSync(python, ['-c', `import ${name}`], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

const requests: Readonly<Record<(typeof names)[number], { readonly path: string; readonly body: object }>> = {
  mlserver: {
    path: '/v2/models/peer/infer',
    body: { inputs: [{ name: 'x', shape: [1, size], datatype: 'FP32', data: values }] },
  },
  bentoml: { path: '/predict', body: { data: values } },
  litserve: { path: '/predict', body: { data: values } },
}

async function startPeer(python: string, name: (typeof names)[number], file: string): Promise<Contestant> {
  const port = await freePort()
  const script = path.join(import.meta.dirname, '../python/peers.py')
  const child = spawn(python, [script, name, String(port), file], { stdio: 'ignore', detached: true })
  const { path: where, body } = requests[name]
  const headers = { 'content-type': 'application/json' }
  const message = { path: where, headers, body: Buffer.from(JSON.stringify(body)) }
  const origin = `http://127.0.0.1:${port}`
  await untilAnswering(origin, message)
  const runMs = Number(execFileSync(python, [script, 'run', String(size), file], { encoding: 'utf8' }))
  return { name, child, isGroup: true, origin, message, runMs, added: [], rate: [] }
}

async function untilAnswering(origin: string, { path: where, headers, body }: Message): Promise<void> {
  const until = performance.now() + startMs
  while (performance.now() < until) {
    const response = await fetch(`${origin}${where}`, { method: 'POST', headers, body: new Uint8Array(body) }).catch(
      () => undefined,
    )
    if (response?.ok === true) return
    await sleep(200)
  }
  throw new Error(`${origin}${where} does not answer`)
}

async function measure(contestants: readonly Contestant[], client: ChildProcess, loader: Loader): Promise<void> {
  for (let round = -1; round < rounds; round++) {
    for (const { origin, message, runMs, added, rate } of contestants) {
      const { ms, inferMs } = await ask<ExchangeResult>(client, {
        origin,
        ...message,
        count: perRound,
      } satisfies ExchangeRequest)
      const { requestsPerSecond } = await loader.load(origin, message, connections, round < 0 ? 1 : secondsPerRound)
      if (round < 0) continue
      added.push(quantile(ms, 0.5) - (runMs ?? quantile(inferMs, 0.5)))
      rate.push(requestsPerSecond)
    }
  }
}

function report(contestants: readonly Contestant[]): BenchResult {
  const [ours, ...peers] = contestants
  if (ours === undefined) throw new Error('nothing was measured')
  const against = (peer: Contestant) => ({
    added: estimateMedian(peer.added.map((ms, round) => ms / (ours.added[round] ?? Number.NaN))),
    throughput: estimateRatio(ours.rate.map((rate, round) => rate / (peer.rate[round] ?? Number.NaN))),
  })
  const ratios = peers.map((peer) => ({ name: peer.name, ...against(peer) }))
  const missing = names.filter((name) => !peers.some((peer) => peer.name === name))
  return {
    name: 'peers',
    method: `a mean of ${size} floats as JSON; p50 at one connection less the run's, requests/s at ${connections}; ${rounds} interleaved rounds`,
    figures: [
      ...contestants.flatMap(({ name, added, rate }) => [
        { name: `added to a run, ${name}`, ...estimateMedian(added), unit: 'ms' },
        { name: `throughput, ${name}`, ...estimateMedian(rate), unit: 'requests/s' },
      ]),
      ...ratios.flatMap(({ name, added, throughput }) => [
        { name: `added, ${name} / Hasten`, ...added, unit: '×' },
        { name: `throughput, Hasten / ${name}`, ...throughput, unit: '×' },
      ]),
    ],
    targets: ratios.flatMap(({ name, added, throughput }) => [
      { text: `at most a fifth of what ${name} adds`, met: added.value >= targets.added },
      { text: `at least twice the throughput of ${name}`, met: throughput.value >= targets.throughput },
    ]),
    leftOut: missing.map((name) => `${name}: no interpreter in HASTEN_BENCH_PEERS has it`),
  }
}
