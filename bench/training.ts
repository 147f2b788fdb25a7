import { python, runChild, runPython } from './child.ts'
import type { BenchResult } from './result.ts'
import { estimateRatio } from './stats.ts'
import { nets } from './training-nets.ts'

const steps: Readonly<Record<string, number>> = { cnn: 10, mlp: 60, transformer: 40 }
const threads = 1
const rounds = 4
const maxRatio = 1.5
const maxBuildMs = 1000

interface Trained {
  /** Median of one step. */
  readonly ms: number
  /** Most resident memory before the net was built, libraries loaded, and of the whole process. */
  readonly idleBytes: number
  readonly peakBytes: number
  readonly firstLoss: number
  readonly lastLoss: number
}

interface Ours extends Trained {
  /** Time to build forward, backward and update. */
  readonly buildMs: number
}

/** One training step of each net, and with HASTEN_BENCH_PYTHON that of PyTorch, in turns, each in its own process. */
export async function run(): Promise<BenchResult> {
  const figures: BenchResult['figures'][number][] = []
  const targets: BenchResult['targets'][number][] = []
  for (const net of Object.keys(nets)) {
    const pairs = await measureNet(net)
    const ours = pairs.map((pair) => pair.ours)
    figures.push({ name: `${net}, step`, value: medianOf(ours.map(({ ms }) => ms)), unit: 'ms' })
    figures.push({
      name: `${net}, peak memory`,
      value: medianOf(ours.map(({ peakBytes }) => peakBytes)) / 2 ** 20,
      unit: 'MiB',
    })
    const buildMs = medianOf(ours.map(({ buildMs }) => buildMs))
    figures.push({ name: `${net}, building the step`, value: buildMs, unit: 'ms' })
    targets.push({ text: `${net}: the step is built within a second`, met: buildMs <= maxBuildMs })
    targets.push({ text: `${net}: the loss falls`, met: ours.every(({ firstLoss, lastLoss }) => lastLoss < firstLoss) })
    const theirs = pairs.flatMap((pair) => pair.theirs ?? [])
    if (theirs.length > 0) compare(net, ours, theirs, figures, targets)
  }
  const other = python === undefined ? '; set HASTEN_BENCH_PYTHON to compare with PyTorch' : ' and PyTorch in turns'
  return { name: 'training', method: `AdamW, ${threads} thread, ${rounds} processes a net${other}`, figures, targets }
}

async function measureNet(net: string): Promise<{ ours: Ours; theirs: Trained | undefined }[]> {
  const args = [net, String(steps[net] ?? 10), String(threads)]
  const pairs: { ours: Ours; theirs: Trained | undefined }[] = []
  for (let round = 0; round < rounds; round += 1) {
    const measureOurs = () => runChild<Ours>('training-child.ts', args)
    const measureTheirs = async () => python && runPython<Trained>(python, 'bench/python/training.py', args)
    // Turns change sides, so that what drifts favours neither.
    const isFirst = round % 2 === 0
    const first = isFirst ? await measureOurs() : undefined
    const theirs = await measureTheirs()
    pairs.push({ ours: first ?? (await measureOurs()), theirs: theirs === '' ? undefined : theirs })
  }
  return pairs
}

function compare(
  net: string,
  ours: readonly Ours[],
  theirs: readonly Trained[],
  figures: BenchResult['figures'][number][],
  targets: BenchResult['targets'][number][],
): void {
  figures.push({ name: `${net}, PyTorch's step`, value: medianOf(theirs.map(({ ms }) => ms)), unit: 'ms' })
  figures.push({
    name: `${net}, PyTorch's peak memory`,
    value: medianOf(theirs.map(({ peakBytes }) => peakBytes)) / 2 ** 20,
    unit: 'MiB',
  })
  const time = estimateRatio(ours.map(({ ms }, index) => ms / (theirs[index] as Trained).ms))
  const memory = estimateRatio(ours.map(({ peakBytes }, index) => peakBytes / (theirs[index] as Trained).peakBytes))
  const growth = estimateRatio(ours.map((each, index) => grown(each) / grown(theirs[index] as Trained)))
  figures.push({ name: `${net}, step against PyTorch`, unit: '×', ...time })
  figures.push({ name: `${net}, peak memory against PyTorch`, unit: '×', ...memory })
  figures.push({ name: `${net}, memory above idle against PyTorch`, unit: '×', ...growth })
  targets.push({ text: `${net}: a step takes at most ${maxRatio} times PyTorch's`, met: time.value <= maxRatio })
  targets.push({ text: `${net}: peak memory at most ${maxRatio} times PyTorch's`, met: memory.value <= maxRatio })
}

function grown({ idleBytes, peakBytes }: Trained): number {
  return peakBytes - idleBytes
}

function medianOf(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] as number
}
