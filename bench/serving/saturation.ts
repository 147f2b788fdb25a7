import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { saveModel } from '../../src/engine/index.ts'
import { ocrModels } from '../../test/support/models.ts'
import type { BenchResult } from '../result.ts'
import { fashionCnn } from '../shows/cnn.ts'
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

const connections = 4
const rounds = 10
const secondsPerRound = 4
const warmUpSeconds = 8
const targetRatio = 0.92

interface Net {
  readonly name: string
  readonly file: string
  readonly input: string
  readonly shape: readonly number[]
}

/**
 * Requests per second of the data plane against a bare loop of runs in a process of its own, with as many runs at a
 * time and the same session options, in turns: for a net of large requests and one of small ones.
 */
export async function run(): Promise<BenchResult> {
  const dir = await mkdtemp(path.join(tmpdir(), 'hasten-bench-'))
  try {
    const file = path.join(dir, 'cnn.onnx')
    await saveModel(fashionCnn([256, 768, 768], 1), file)
    const picture = { name: 'PP-OCR det, 600 KB', file: ocrModels.det, input: 'x', shape: [1, 3, 224, 224] }
    const parts = [
      await measure(picture),
      await measure({ name: 'CNN, 3 KB', file, input: 'image', shape: [1, 1, 28, 28] }),
    ]
    return {
      name: 'saturation',
      method: `PP-OCR det on 224 × 224 and a CNN of 256, 768 and 768 channels on 28 × 28, binary, ${connections} connections, ${rounds} interleaved rounds of ${secondsPerRound} s`,
      figures: parts.flatMap(({ figures }) => figures),
      targets: parts.flatMap(({ targets }) => targets),
    }
  } finally {
    await rm(dir, { recursive: true })
  }
}

type Part = Pick<BenchResult, 'figures' | 'targets'>

async function measure({ name, file, input, shape }: Net): Promise<Part> {
  const values = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => Math.random())
  const message = binaryInfer(input, shape, values)
  const ours = await startServer('hasten-server.ts', [file])
  const bare = await startServer('loop-child.ts', [file, input, shape.join(',')])
  const loader = startLoader()
  const probes: number[] = []
  const loop = async (seconds: number): Promise<Rate> => {
    // The same probes as beside the other side: they take their part of the cores.
    const { runsPerSecond, p50Ms } = await watchLivez(ours.origin, [], () => ask<LoopResult>(bare.child, { seconds }))
    return { perSecond: runsPerSecond, p50Ms }
  }
  const load = async (seconds: number): Promise<Rate> => {
    const { requestsPerSecond, p50Ms } = await watchLivez(ours.origin, probes, () =>
      loader.load(ours.origin, message, connections, seconds),
    )
    return { perSecond: requestsPerSecond, p50Ms }
  }
  try {
    // Until the server's code is compiled: a few hundred requests a second take their time.
    await load(warmUpSeconds)
    await loop(1)
    const results = await inTurns(rounds, [() => load(secondsPerRound), () => loop(secondsPerRound)])
    return report(name, results, probes)
  } finally {
    for (const { child } of [ours, bare, loader]) await stop(child)
  }
}

interface Rate {
  readonly perSecond: number
  readonly p50Ms: number
}

function report(name: string, results: readonly [readonly Rate[], readonly Rate[]], probes: readonly number[]): Part {
  const rate = ({ perSecond }: Rate) => perSecond
  const ratio = ratioOf(results, rate)
  const livez = livezFigures(probes)
  const runMs = results[1].map(({ p50Ms }) => p50Ms)
  const figures = [
    { name: 'throughput, Hasten', value: quantile(results[0].map(rate), 0.5), unit: 'requests/s' },
    { name: 'throughput, bare loop', value: quantile(results[1].map(rate), 0.5), unit: 'runs/s' },
    { name: 'p50 of a run in the bare loop', value: quantile(runMs, 0.5), unit: 'ms' },
    { name: 'ratio', ...ratio, unit: '×' },
    ...livez.figures,
  ]
  const targets = [
    { text: `at least ${targetRatio} of the bare loop`, met: ratio.value >= targetRatio },
    ...livez.targets,
  ]
  return {
    figures: figures.map((figure) => Object.assign(figure, { name: `${name}: ${figure.name}` })),
    targets: targets.map(({ text, met }) => ({ text: `${name}: ${text}`, met })),
  }
}
