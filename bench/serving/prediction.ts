import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { availableParallelism } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { ocrModels } from '../../test/support/models.ts'
import type { BenchResult } from '../result.ts'
import { estimateRatio, quantile } from '../stats.ts'
import type { LoadRequest, LoadResult } from './load.ts'

const shape = [1, 3, 48, 192]
const connections = 8
const rounds = 6
const secondsPerRound = 3
const targetRatio = 1.3
const targetLivezMs = 20

interface Side {
  readonly child: ChildProcess
  readonly url: string
  readonly livez: string
  readonly body: Buffer
  readonly headers: Record<string, string>
}

/**
 * Requests per second of the data plane and of a plain Fastify + onnxruntime-node server, in turns, on PP-OCR cls with
 * one 48×192 image per request as binary; and how long the data plane takes to answer a probe meanwhile.
 */
export async function run(): Promise<BenchResult> {
  const tensor = randomTensor()
  const ours = await startOurs(tensor)
  const naive = await startNaive(tensor)
  const loader = startLoad()
  try {
    return await compare(ours, naive, loader.load)
  } finally {
    for (const { child } of [ours, naive, loader]) await stop(child)
  }
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  child.kill()
  await once(child, 'exit')
}

function randomTensor(): Buffer {
  const values = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => Math.random())
  return Buffer.from(values.buffer)
}

async function start(file: string, args: readonly string[]): Promise<{ child: ChildProcess; origin: string }> {
  const env = { ...process.env, UV_THREADPOOL_SIZE: String(availableParallelism() + 4) }
  const child = fork(path.join(import.meta.dirname, file), args, { env })
  const [message] = (await once(child, 'message')) as [{ url: string }]
  return { child, origin: message.url }
}

async function startNaive(tensor: Buffer): Promise<Side> {
  const { child, origin } = await start('naive-server.ts', [ocrModels.cls, shape.join(',')])
  const headers = { 'content-type': 'application/octet-stream' }
  return { child, url: `${origin}/predict`, livez: `${origin}/livez`, body: tensor, headers }
}

async function startOurs(tensor: Buffer): Promise<Side> {
  const { child, origin } = await start('hasten-server.ts', [ocrModels.cls])
  const parameters = { binary_data_size: tensor.length }
  const json = Buffer.from(
    JSON.stringify({
      inputs: [{ name: 'x', shape, datatype: 'FP32', parameters }],
      parameters: { binary_data_output: true },
    }),
  )
  const headers = {
    'inference-header-content-length': String(json.length),
    authorization: 'Bearer hk_benchmark_benchmark_benchmark',
  }
  const body = Buffer.concat([json, tensor])
  return { child, url: `${origin}/v2/models/cls/infer`, livez: `${origin}/livez`, body, headers }
}

type Load = (side: Side, seconds: number) => Promise<number>

/** Requests per second over one round, made by another process; any answer but 2xx spoils the benchmark. */
function startLoad(): { child: ChildProcess; load: Load } {
  const child = fork(path.join(import.meta.dirname, 'load.ts'), { serialization: 'advanced' })
  const load: Load = async ({ url, body, headers }, seconds) => {
    const request: LoadRequest = { url, body, headers, connections, seconds }
    child.send(request)
    const [result] = (await once(child, 'message')) as [LoadResult]
    if (result.failed > 0) throw new Error(`${url}: ${result.failed} requests failed`)
    return result.requestsPerSecond
  }
  return { child, load }
}

async function compare(ours: Side, naive: Side, load: Load): Promise<BenchResult> {
  for (const side of [ours, naive]) await load(side, 1)
  const pairs: [ours: number, naive: number][] = []
  const probes: Probes = { loaded: [], idle: [] }
  for (let round = 0; round < rounds; round++) {
    const [mine, theirs] = round % 2 === 0 ? [0, 1] : [1, 0]
    const rates: number[] = []
    for (const turn of [0, 1]) {
      rates[turn] = turn === mine ? await watched(ours, naive, probes, load) : await load(naive, secondsPerRound)
    }
    pairs.push([rates[mine] ?? 0, rates[theirs] ?? 0])
  }
  return report(pairs, probes)
}

/** Milliseconds that probes took while Hasten was under load; the plain server, idle then, shows the machine's part. */
interface Probes {
  readonly loaded: number[]
  readonly idle: number[]
}

async function watched(ours: Side, naive: Side, probes: Probes, load: Load): Promise<number> {
  const stop = new AbortController()
  const watching = [probe(ours.livez, probes.loaded, stop.signal), probe(naive.livez, probes.idle, stop.signal)]
  const rate = await load(ours, secondsPerRound)
  stop.abort()
  await Promise.all(watching)
  return rate
}

async function probe(url: string, probes: number[], signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const startedAt = performance.now()
    await (await fetch(url)).arrayBuffer()
    probes.push(performance.now() - startedAt)
    await sleep(10)
  }
}

function report(pairs: readonly [number, number][], { loaded, idle }: Probes): BenchResult {
  const ratio = estimateRatio(pairs.map(([mine, theirs]) => mine / theirs))
  const median = (side: 0 | 1) =>
    quantile(
      pairs.map((pair) => pair[side]),
      0.5,
    )
  const livez = quantile(loaded, 0.99)
  return {
    name: 'prediction',
    method: `PP-OCR cls, binary 1×3×48×192, ${connections} connections, ${rounds} interleaved rounds of ${secondsPerRound} s`,
    figures: [
      { name: 'throughput, Hasten', value: median(0), unit: 'requests/s' },
      { name: 'throughput, Fastify + onnxruntime-node', value: median(1), unit: 'requests/s' },
      { name: 'ratio', value: ratio.value, unit: '×', ci95: ratio.ci95 },
      { name: '/livez p50 under load', value: quantile(loaded, 0.5), unit: 'ms' },
      { name: '/livez p99 under load', value: livez, unit: 'ms' },
      { name: '/livez p99 of the other, idle meanwhile', value: quantile(idle, 0.99), unit: 'ms' },
    ],
    targets: [
      { text: `at least ${targetRatio} times the throughput of the plain server`, met: ratio.value >= targetRatio },
      { text: `/livez p99 under ${targetLivezMs} ms meanwhile`, met: livez < targetLivezMs },
    ],
  }
}
