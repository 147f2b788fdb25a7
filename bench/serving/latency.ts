import { fork, type ChildProcess } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { buildModel, ocrModels } from '../../test/support/models.ts'
import type { BenchResult } from '../result.ts'
import { estimateMedian, estimateRatio, quantile } from '../stats.ts'
import type { Message } from './connection.ts'
import type { ExchangeRequest, ExchangeResult } from './exchange-child.ts'
import { ask, binaryInfer, jsonInfer, startServer, stop, type Server } from './servers.ts'

const small = 256
const large = 150_000
const rounds = 11
const perRound = { small: 200, large: 40, image: 10 }
/** As many numbers as an image that a net for pictures takes. */
const image = [1, 3, 224, 224]
const targets = { small: 0.15, large: 0.6, json: 4 }

interface Case {
  readonly name: string
  readonly server: Server
  readonly message: Message
  readonly count: number
}

/**
 * What the data plane adds to a run, at one connection: the client's time less the run's, as the server tells it, by
 * medians of rounds that take turns with a bare Node server which only reads the body. And JSON against binary: of a net
 * for pictures (PP-OCR det), and of a mean, which takes a tenth of a millisecond and leaves nothing but the JSON.
 */
export async function run(): Promise<BenchResult> {
  const dir = await mkdtemp(path.join(tmpdir(), 'hasten-bench-'))
  const children: ChildProcess[] = []
  try {
    const file = path.join(dir, 'mean.onnx')
    await writeFile(file, buildMean())
    const [ours, bare] = [await startServer('hasten-server.ts', [file]), await startServer('bare-server.ts')]
    // The bare server takes the spans too: it reads them and says yes.
    const traced = await startServer('hasten-server.ts', [file, '{}', bare.origin])
    const pictures = await startServer('hasten-server.ts', [ocrModels.det])
    const client = fork(path.join(import.meta.dirname, 'exchange-child.ts'), { serialization: 'advanced' })
    children.push(ours.child, bare.child, traced.child, pictures.child, client)
    return report(await measure(casesOf({ ours, bare, traced, pictures }), client))
  } finally {
    for (const child of children) await stop(child)
    await rm(dir, { recursive: true })
  }
}

/** Little to compute, so that what is around it shows. */
function buildMean(): Uint8Array {
  return buildModel({
    inputs: { x: ['float32', [1, 'N']] },
    outputs: { y: ['float32', [1, 1]] },
    nodes: [['ReduceMean', ['x'], ['y'], { axes: [1], keepdims: 1 }]],
  })
}

function casesOf({
  ours,
  bare,
  traced,
  pictures,
}: Readonly<Record<'ours' | 'bare' | 'traced' | 'pictures', Server>>): readonly Case[] {
  const floats = (count: number) => Float32Array.from({ length: count }, () => Math.random())
  const [few, many] = [floats(small), floats(large)]
  const rounded = Array.from(many, (value) => Number(value.toFixed(4)))
  const pixels = floats(image.reduce((product, dim) => product * dim, 1))
  const binary = { small: binaryInfer('x', [1, small], few), large: binaryInfer('x', [1, large], many) }
  return [
    { name: 'small', server: ours, message: binary.small, count: perRound.small },
    { name: 'traced small', server: traced, message: binary.small, count: perRound.small },
    { name: 'bare small', server: bare, message: binary.small, count: perRound.small },
    { name: 'large', server: ours, message: binary.large, count: perRound.large },
    { name: 'bare large', server: bare, message: binary.large, count: perRound.large },
    { name: 'json', server: ours, message: jsonInfer('x', [1, large], rounded), count: perRound.large },
    { name: 'image', server: pictures, message: binaryInfer('x', image, pixels), count: perRound.image },
    { name: 'image json', server: pictures, message: jsonInfer('x', image, [...pixels]), count: perRound.image },
    { name: 'long json', server: ours, message: jsonInfer('x', [1, large], [...many]), count: perRound.large },
  ]
}

/** By case, the medians of its rounds. */
type Medians = ReadonlyMap<string, readonly Round[]>

interface Round {
  readonly ms: number
  readonly inferMs: number
}

async function measure(cases: readonly Case[], client: ChildProcess): Promise<Medians> {
  const medians = new Map(cases.map(({ name }): [string, Round[]] => [name, []]))
  for (let round = -1; round < rounds; round++) {
    for (const { name, server, message, count } of cases) {
      const request: ExchangeRequest = { origin: server.origin, ...message, count }
      const { ms, inferMs } = await ask<ExchangeResult>(client, request)
      const taken = { ms: quantile(ms, 0.5), inferMs: inferMs.length === 0 ? 0 : quantile(inferMs, 0.5) }
      // The first round warms both sides up.
      if (round >= 0) medians.get(name)?.push(taken)
    }
  }
  return medians
}

function report(medians: Medians): BenchResult {
  const of = (name: string) => medians.get(name) ?? []
  const added = (name: string) => estimateMedian(of(name).map(({ ms, inferMs }) => ms - inferMs))
  const ratio = (name: string, base: string) =>
    estimateRatio(of(name).map(({ ms }, round) => ms / (of(base)[round]?.ms ?? Number.NaN)))
  const infer = (name: string) => estimateMedian(of(name).map(({ inferMs }) => inferMs))
  const [smallAdded, largeAdded] = [added('small'), added('large')]
  const json = ratio('image json', 'image')
  return {
    name: 'latency',
    method: `one connection, a mean over the input, ${rounds} interleaved rounds; client p50 less the run's by Server-Timing`,
    figures: [
      { name: 'added to a run, 1 KB', ...smallAdded, unit: 'ms' },
      { name: 'added to a run, 1 KB, each request traced', ...added('traced small'), unit: 'ms' },
      { name: 'a bare Node server, 1 KB', ...added('bare small'), unit: 'ms' },
      { name: 'run, 1 KB', ...infer('small'), unit: 'ms' },
      { name: 'added to a run, 600 KB', ...largeAdded, unit: 'ms' },
      { name: 'a bare Node server, 600 KB', ...added('bare large'), unit: 'ms' },
      { name: 'run, 600 KB', ...infer('large'), unit: 'ms' },
      { name: 'run, picture of 224 × 224', ...infer('image'), unit: 'ms' },
      { name: `JSON / binary, picture (150,528 floats, all digits)`, ...json, unit: '×' },
      { name: `JSON / binary, mean of ${large}, four decimals`, ...ratio('json', 'large'), unit: '×' },
      { name: `JSON / binary, mean of ${large}, all digits`, ...ratio('long json', 'large'), unit: '×' },
    ],
    targets: [
      { text: `at most ${targets.small} ms added for 1 KB`, met: smallAdded.value <= targets.small },
      { text: `at most ${targets.large} ms added for 600 KB`, met: largeAdded.value <= targets.large },
      { text: `JSON of a picture at most ${targets.json} times binary`, met: json.value <= targets.json },
    ],
  }
}
