import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import path from 'node:path'
import { tensorOf } from '../../src/engine/ir/tensor.ts'
import { buildModel } from '../../test/support/models.ts'
import type { BenchResult } from '../result.ts'
import { estimateRatio, quantile } from '../stats.ts'
import type { LoadRequest, LoadResult } from './load.ts'

const width = 1024
const layers = 6
const connections = 32
const rounds = 6
const secondsPerRound = 3
const targetRatio = 2.5

interface Side {
  readonly child: ChildProcess
  readonly request: Omit<LoadRequest, 'connections' | 'seconds'>
}

/**
 * Requests per second of one deployment of a multi-layer perceptron with and without batching, in turns, each request
 * one row as binary. Its weights are larger than a core's cache, so that a run of one row mostly waits for memory.
 */
export async function run(): Promise<BenchResult> {
  const dir = await mkdtemp(path.join(tmpdir(), 'hasten-bench-'))
  const children: ChildProcess[] = []
  try {
    const file = path.join(dir, 'mlp.onnx')
    await writeFile(file, buildPerceptron())
    const sides: Side[] = []
    for (const options of [{ batching: { max_batch: 32 } }, {}]) {
      const side = await startServer(file, options)
      sides.push(side)
      children.push(side.child)
    }
    const loader = fork(path.join(import.meta.dirname, 'load.ts'), { serialization: 'advanced' })
    children.push(loader)
    return await compare(sides, loader)
  } finally {
    for (const child of children) await stop(child)
    await rm(dir, { recursive: true })
  }
}

function buildPerceptron(): Uint8Array {
  let state = 1
  const next = () => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647 - 0.5
  const matrix = () =>
    tensorOf(
      'float32',
      [width, width],
      Float32Array.from({ length: width * width }, () => next() / 16),
    )
  const numbers = Array.from({ length: layers }, (_, layer) => layer)
  return buildModel({
    inputs: { x: ['float32', ['N', width]] },
    outputs: { [`h${layers}`]: ['float32', ['N', width]] },
    initializers: Object.fromEntries(numbers.map((layer) => [`w${layer}`, matrix()])),
    nodes: numbers.flatMap((layer) => [
      ['MatMul', [layer === 0 ? 'x' : `h${layer}`, `w${layer}`], [`p${layer}`]],
      ['Relu', [`p${layer}`], [`h${layer + 1}`]],
    ]),
  })
}

async function startServer(file: string, options: object): Promise<Side> {
  const env = { ...process.env, UV_THREADPOOL_SIZE: String(availableParallelism() + 4) }
  const args = [file, JSON.stringify(options)]
  const child = fork(path.join(import.meta.dirname, 'hasten-server.ts'), args, { env })
  const [message] = (await once(child, 'message')) as [{ url: string }]
  const data = Buffer.from(Float32Array.from({ length: width }, () => Math.random()).buffer)
  const parameters = { binary_data_size: data.length }
  const inputs = [{ name: 'x', shape: [1, width], datatype: 'FP32', parameters }]
  const json = Buffer.from(JSON.stringify({ inputs, parameters: { binary_data_output: true } }))
  const headers = {
    'inference-header-content-length': String(json.length),
    authorization: 'Bearer hk_benchmark_benchmark_benchmark',
  }
  return { child, request: { url: `${message.url}/v2/models/cls/infer`, headers, body: Buffer.concat([json, data]) } }
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  child.kill()
  await once(child, 'exit')
}

async function load(loader: ChildProcess, { request }: Side, seconds: number): Promise<LoadResult> {
  loader.send({ ...request, connections, seconds } satisfies LoadRequest)
  const [result] = (await once(loader, 'message')) as [LoadResult]
  if (result.failed > 0) throw new Error(`${result.failed} requests failed`)
  return result
}

async function compare(sides: readonly Side[], loader: ChildProcess): Promise<BenchResult> {
  for (const side of sides) await load(loader, side, 1)
  const results: [LoadResult[], LoadResult[]] = [[], []]
  for (let round = 0; round < rounds; round++) {
    for (const index of round % 2 === 0 ? ([0, 1] as const) : ([1, 0] as const)) {
      const side = sides[index]
      if (side !== undefined) results[index].push(await load(loader, side, secondsPerRound))
    }
  }
  return report(...results)
}

function report(batched: readonly LoadResult[], single: readonly LoadResult[]): BenchResult {
  const ratioOf = (of: (result: LoadResult) => number) =>
    estimateRatio(batched.map((result, round) => of(result) / of(single[round] ?? result)))
  const middle = (results: readonly LoadResult[], of: (result: LoadResult) => number) => quantile(results.map(of), 0.5)
  const rate = ({ requestsPerSecond }: LoadResult) => requestsPerSecond
  const p99 = ({ p99Ms }: LoadResult) => p99Ms
  const [throughput, tail] = [ratioOf(rate), ratioOf(p99)]
  return {
    name: 'batching',
    method: `${layers} layers of ${width}, one row a request as binary, ${connections} connections, ${rounds} interleaved rounds of ${secondsPerRound} s`,
    figures: [
      { name: 'throughput, batched', value: middle(batched, rate), unit: 'requests/s' },
      { name: 'throughput, not batched', value: middle(single, rate), unit: 'requests/s' },
      { name: 'ratio of throughput', ...throughput, unit: '×' },
      { name: 'p99, batched', value: middle(batched, p99), unit: 'ms' },
      { name: 'p99, not batched', value: middle(single, p99), unit: 'ms' },
      { name: 'ratio of p99', ...tail, unit: '×' },
    ],
    targets: [
      { text: `at least ${targetRatio} times the throughput`, met: throughput.value >= targetRatio },
      { text: 'p99 no worse', met: tail.value <= 1 },
    ],
  }
}
