import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { tensorOf } from '../../src/engine/ir/tensor.ts'
import { buildModel } from '../../test/support/models.ts'
import type { BenchResult } from '../result.ts'
import { quantile } from '../stats.ts'
import type { LoadResult } from './load.ts'
import {
  binaryInfer,
  inTurns,
  livezFigures,
  ratioOf,
  startLoader,
  startServer,
  stop,
  watchLivez,
  type Server,
} from './servers.ts'

const width = 1024
const layers = 6
const connections = 32
const rounds = 6
const secondsPerRound = 3
const targetRatio = 2.5

/**
 * Requests per second of one deployment of a multi-layer perceptron with and without batching, in turns, each request
 * one row as binary. Its weights are larger than a core's cache, so that a run of one row mostly waits for memory.
 */
export async function run(): Promise<BenchResult> {
  const dir = await mkdtemp(path.join(tmpdir(), 'hasten-bench-'))
  const loader = startLoader()
  const servers: Server[] = []
  const probes: number[] = []
  const message = binaryInfer(
    'x',
    [1, width],
    Float32Array.from({ length: width }, () => Math.random()),
  )
  try {
    const file = path.join(dir, 'mlp.onnx')
    await writeFile(file, buildPerceptron())
    const batched = await startServer('hasten-server.ts', [file, JSON.stringify({ batching: { max_batch: 32 } })])
    const single = await startServer('hasten-server.ts', [file])
    servers.push(batched, single)
    const load = ({ origin }: Server, seconds = secondsPerRound) =>
      watchLivez(origin, probes, () => loader.load(origin, message, connections, seconds))
    for (const server of servers) await load(server, 1)
    return report(await inTurns(rounds, [() => load(batched), () => load(single)]), probes)
  } finally {
    for (const { child } of [...servers, loader]) await stop(child)
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

function report(
  results: readonly [readonly LoadResult[], readonly LoadResult[]],
  probes: readonly number[],
): BenchResult {
  const [batched, single] = results
  const middle = (side: readonly LoadResult[], of: (result: LoadResult) => number) => quantile(side.map(of), 0.5)
  const rate = ({ requestsPerSecond }: LoadResult) => requestsPerSecond
  const p99 = ({ p99Ms }: LoadResult) => p99Ms
  const [throughput, tail] = [ratioOf(results, rate), ratioOf(results, p99)]
  const livez = livezFigures(probes)
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
      ...livez.figures,
    ],
    targets: [
      { text: `at least ${targetRatio} times the throughput`, met: throughput.value >= targetRatio },
      { text: 'p99 no worse', met: tail.value <= 1 },
      ...livez.targets,
    ],
  }
}
