import { ocrModels } from '../../test/support/models.ts'
import type { BenchResult } from '../result.ts'
import { quantile } from '../stats.ts'
import type { LoopResult } from './loop-child.ts'
import {
  ask,
  binaryInfer,
  inTurns,
  livezFigures,
  ratioOf,
  startLoader,
  startServer,
  stop,
  watchLivez,
} from './servers.ts'

const shape = [1, 3, 224, 224]
const connections = 4
const rounds = 6
const secondsPerRound = 4
const targetRatio = 0.92

/**
 * Requests per second of the data plane against a bare loop of runs in a process of its own, with as many runs at a
 * time and the same session options, in turns: PP-OCR det on a picture of 224 × 224 as binary, 600 KB a request.
 */
export async function run(): Promise<BenchResult> {
  const values = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => Math.random())
  const message = binaryInfer('x', shape, values)
  const ours = await startServer('hasten-server.ts', [ocrModels.det])
  const bare = await startServer('loop-child.ts', [ocrModels.det, 'x', shape.join(',')])
  const loader = startLoader()
  const probes: number[] = []
  const loop = async (seconds: number): Promise<Rate> => {
    const { runsPerSecond, p50Ms } = await ask<LoopResult>(bare.child, { seconds })
    return { perSecond: runsPerSecond, p50Ms }
  }
  const load = async (seconds: number): Promise<Rate> => {
    const { requestsPerSecond, p50Ms } = await watchLivez(ours.origin, probes, () =>
      loader.load(ours.origin, message, connections, seconds),
    )
    return { perSecond: requestsPerSecond, p50Ms }
  }
  try {
    await load(1)
    await loop(1)
    const results = await inTurns(rounds, [() => load(secondsPerRound), () => loop(secondsPerRound)])
    return report(results, probes)
  } finally {
    for (const { child } of [ours, bare, loader]) await stop(child)
  }
}

interface Rate {
  readonly perSecond: number
  readonly p50Ms: number
}

function report(results: readonly [readonly Rate[], readonly Rate[]], probes: readonly number[]): BenchResult {
  const rate = ({ perSecond }: Rate) => perSecond
  const ratio = ratioOf(results, rate)
  const livez = livezFigures(probes)
  return {
    name: 'saturation',
    method: `PP-OCR det, binary ${shape.join('×')}, ${connections} connections, ${rounds} interleaved rounds of ${secondsPerRound} s`,
    figures: [
      { name: 'throughput, Hasten', value: quantile(results[0].map(rate), 0.5), unit: 'requests/s' },
      { name: 'throughput, bare loop', value: quantile(results[1].map(rate), 0.5), unit: 'runs/s' },
      {
        name: 'p50 of a run in the bare loop',
        value: quantile(
          results[1].map(({ p50Ms }) => p50Ms),
          0.5,
        ),
        unit: 'ms',
      },
      { name: 'ratio', ...ratio, unit: '×' },
      ...livez.figures,
    ],
    targets: [{ text: `at least ${targetRatio} of the bare loop`, met: ratio.value >= targetRatio }, ...livez.targets],
  }
}
