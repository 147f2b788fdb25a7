import { ocrModels } from '../../test/support/models.ts'
import type { BenchResult } from '../result.ts'
import { quantile } from '../stats.ts'
import type { Message } from './connection.ts'
import type { LoadResult } from './load.ts'
import { binaryInfer, inTurns, livezFigures, ratioOf, startLoader, startServer, stop, watchLivez } from './servers.ts'

const shape = [1, 3, 48, 192]
const connections = 8
const rounds = 6
const secondsPerRound = 3
const targetRatio = 1.6

/**
 * Requests per second of the data plane and of a plain Fastify + onnxruntime-node server, in turns, on PP-OCR cls with
 * one 48×192 image per request as binary; and how long the data plane takes to answer a probe meanwhile.
 */
export async function run(): Promise<BenchResult> {
  const values = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => Math.random())
  const ours = await startServer('hasten-server.ts', [ocrModels.cls])
  const naive = await startServer('naive-server.ts', [ocrModels.cls, shape.join(',')])
  const loader = startLoader()
  const message = binaryInfer('x', shape, values)
  const headers = { 'content-type': 'application/octet-stream' }
  const plain: Message = { path: '/predict', headers, body: Buffer.from(values.buffer) }
  const probes: { loaded: number[]; idle: number[] } = { loaded: [], idle: [] }
  try {
    for (const [{ origin }, request] of [
      [ours, message],
      [naive, plain],
    ] as const) {
      await loader.load(origin, request, connections, 1)
    }
    const results = await inTurns(rounds, [
      () =>
        watchLivez(ours.origin, probes.loaded, () =>
          watchLivez(naive.origin, probes.idle, () => loader.load(ours.origin, message, connections, secondsPerRound)),
        ),
      () => loader.load(naive.origin, plain, connections, secondsPerRound),
    ])
    return report(results, probes)
  } finally {
    for (const { child } of [ours, naive, loader]) await stop(child)
  }
}

function report(
  results: readonly [readonly LoadResult[], readonly LoadResult[]],
  { loaded, idle }: { readonly loaded: readonly number[]; readonly idle: readonly number[] },
): BenchResult {
  const rate = ({ requestsPerSecond }: LoadResult) => requestsPerSecond
  const ratio = ratioOf(results, rate)
  const median = (side: 0 | 1) => quantile(results[side].map(rate), 0.5)
  const livez = livezFigures(loaded)
  return {
    name: 'prediction',
    method: `PP-OCR cls, binary 1×3×48×192, ${connections} connections, ${rounds} interleaved rounds of ${secondsPerRound} s`,
    figures: [
      { name: 'throughput, Hasten', value: median(0), unit: 'requests/s' },
      { name: 'throughput, Fastify + onnxruntime-node', value: median(1), unit: 'requests/s' },
      { name: 'ratio', ...ratio, unit: '×' },
      ...livez.figures,
      // The plain server is idle then: it shows the machine's part.
      { name: '/livez p99 of the other, idle meanwhile', value: quantile(idle, 0.99), unit: 'ms' },
    ],
    targets: [
      { text: `at least ${targetRatio} times the throughput of the plain server`, met: ratio.value >= targetRatio },
      ...livez.targets,
    ],
  }
}
