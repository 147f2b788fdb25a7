import { mkdir, mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { decodeModel, saveModel, tensorOf } from '../src/engine/index.ts'
import { buildModel } from '../test/support/models.ts'
import { runChild } from './child.ts'
import type { BenchResult } from './result.ts'
import { estimateMedian } from './stats.ts'

const modelBytes = 500e6
const width = 1024
const thresholdBytes = 1024
const rounds = 8
const maxRatio = 1.5
const maxOverheadBytes = 150 * 2 ** 20

interface Copied {
  readonly ms: number
  readonly peakBytes: number
}

interface Form {
  readonly name: string
  /** What the child does with the file. */
  readonly what: 'copy' | 'stream' | 'model'
  readonly file: string
  readonly extra: readonly string[]
}

/**
 * Load and save of a 500 MB model, its weights inside and outside, against reading its file into memory and writing it.
 * What copying through a small buffer takes is there for comparison: no program that holds the model can do that.
 */
export async function run(): Promise<BenchResult> {
  const folder = await mkdtemp(path.join(tmpdir(), 'hasten-bench-'))
  try {
    const forms = await writeForms(folder)
    const measured: Copied[][] = []
    for (let round = 0; round < rounds; round += 1) measured.push(await measureRound(folder, forms, round))
    const { size } = await stat((forms[0] as Form).file)
    return summarize(forms, measured, size)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** Every form once, in an order that gives each its turn to be first: disks slow down when much was written before. */
async function measureRound(folder: string, forms: readonly Form[], round: number): Promise<Copied[]> {
  const copied: Copied[] = []
  for (let turn = 0; turn < forms.length; turn += 1) {
    const index = (turn + round) % forms.length
    copied[index] = await copyOnce(folder, forms[index] as Form)
  }
  return copied
}

async function writeForms(folder: string): Promise<Form[]> {
  const layers = Math.round(modelBytes / (4 * width * width))
  const weights = Array.from({ length: layers }, (_, layer) =>
    tensorOf('float32', [width, width], new Float32Array(width * width).fill(layer)),
  )
  const model = decodeModel(
    buildModel({
      inputs: { x0: ['float32', [1, width]] },
      outputs: { [`x${layers}`]: ['float32', [1, width]] },
      initializers: Object.fromEntries(weights.map((tensor, layer) => [`w${layer}`, tensor])),
      nodes: weights.map((_, layer) => ['MatMul', [`x${layer}`, `w${layer}`], [`x${layer + 1}`]]),
    }),
  )
  const whole = path.join(folder, 'whole.onnx')
  const split = path.join(folder, 'split.onnx')
  await saveModel(model, whole)
  await saveModel(model, split, { externalData: { thresholdBytes } })
  return [
    { name: 'copy', what: 'copy', file: whole, extra: [] },
    { name: 'copy through 1 MiB', what: 'stream', file: whole, extra: [] },
    { name: 'one file', what: 'model', file: whole, extra: [] },
    { name: 'external data', what: 'model', file: split, extra: [String(thresholdBytes)] },
  ]
}

async function copyOnce(folder: string, { what, file, extra }: Form): Promise<Copied> {
  const out = path.join(folder, 'out')
  await rm(out, { recursive: true, force: true })
  await mkdir(out)
  return runChild<Copied>('codec-child.ts', [what, file, path.join(out, 'copy.onnx'), ...extra])
}

function summarize(forms: readonly Form[], measured: readonly (readonly Copied[])[], bytes: number): BenchResult {
  const rows = forms.flatMap(({ name, what }, index) => {
    if (what === 'copy') return []
    const pairs = measured.map((round) => [round[0], round[index]] as [Copied, Copied])
    const ratio = estimateMedian(pairs.map(([copy, ours]) => ours.ms / copy.ms))
    const overhead = Math.max(...pairs.map(([, ours]) => ours.peakBytes)) - bytes
    return { name, what, ratio, overhead }
  })
  const ours = rows.filter(({ what }) => what === 'model')
  const ratios = rows.map(({ name, ratio }) => ({
    name: `${name} / copy`,
    value: ratio.value,
    unit: 'x',
    ci95: ratio.ci95,
  }))
  const overheads = ours.map(({ name, overhead }) => {
    return { name: `${name}: resident memory above the file size`, value: overhead / 2 ** 20, unit: 'MiB' }
  })
  return {
    name: 'codec',
    method: `${Math.round(bytes / 1e6)} MB model, ${rounds} rounds of (read + write, load + save), interleaved, in processes of their own; each waits for the disk`,
    figures: [...ratios, ...overheads],
    targets: ours.flatMap(({ name, ratio, overhead }) => [
      { text: `load + save, ${name}: at most ${maxRatio} times`, met: ratio.value <= maxRatio },
      { text: `load + save, ${name}: at most 150 MiB above the file size`, met: overhead <= maxOverheadBytes },
    ]),
  }
}
