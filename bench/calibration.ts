import path from 'node:path'
import { python, runChild, runPython } from './child.ts'
import type { BenchResult } from './result.ts'
import { estimateMedian, type RatioEstimate } from './stats.ts'

const root = path.resolve(import.meta.dirname, '..')
const model = path.join(root, 'examples/digits/digits.onnx')
const data = path.join(root, 'examples/digits/evaluation.npz')
const methods = ['entropy', 'percentile'] as const
const sampleCounts = [64, 1024] as const
const batch = 8
const threads = 1
const rounds = 6
const maxGrowth = 1.1
const minRatio = 2

interface Calibrated {
  /** Wall time. */
  readonly ms: number
  /** Time of all cores together, which other work on the host does not add to. */
  readonly cpuMs: number
  readonly peakBytes: number
}

interface Round {
  readonly ours: Calibrated
  readonly theirs: Calibrated | undefined
}

interface Row {
  readonly method: (typeof methods)[number]
  readonly samples: number
  readonly ours: readonly Calibrated[]
  readonly ratios: { readonly wall: RatioEstimate; readonly cpu: RatioEstimate } | undefined
}

/**
 * Calibration of every value of the digit CNN with its histograms, in processes of their own, in turns with
 * onnxruntime's Python calibrators on the same data and threads where `HASTEN_BENCH_PYTHON` is set.
 */
export async function run(): Promise<BenchResult> {
  const rows: Row[] = []
  for (const method of methods) {
    for (const samples of sampleCounts) rows.push(await measureRow(method, samples))
  }
  const targets = methods.map((method) => memoryTarget(method, rows))
  const { met, leftOut } = speedTargets(rows)
  return {
    name: 'calibration',
    method: `examples/digits, batch ${batch}, ${threads} runtime thread, median of ${rounds} processes, interleaved`,
    figures: rows.flatMap(figuresOf),
    targets: [...targets, ...met],
    leftOut,
  }
}

async function measureRow(method: Row['method'], samples: number): Promise<Row> {
  const measured: Round[] = []
  for (let round = 0; round < rounds; round += 1) {
    const args = [model, data, method, String(samples), String(batch)]
    const ours = await runChild<Calibrated>('calibration-child.ts', args)
    const script = 'scripts/fixtures/calibration-speed.py'
    const theirs = python && (await runPython<Calibrated>(python, script, [...args, String(threads)]))
    measured.push({ ours, theirs: theirs || undefined })
  }
  return { method, samples, ours: measured.map(({ ours }) => ours), ratios: ratiosOf(measured) }
}

function ratiosOf(measured: readonly Round[]): Row['ratios'] {
  const pairs = measured.flatMap(({ ours, theirs }) => (theirs === undefined ? [] : [{ ours, theirs }]))
  if (pairs.length === 0) return undefined
  return {
    wall: estimateMedian(pairs.map(({ ours, theirs }) => theirs.ms / ours.ms)),
    cpu: estimateMedian(pairs.map(({ ours, theirs }) => theirs.cpuMs / ours.cpuMs)),
  }
}

function figuresOf({ method, samples, ours, ratios }: Row): BenchResult['figures'] {
  const name = `${method}, ${samples} samples`
  const own = [
    { name, value: medianOf(ours, 'ms'), unit: 'ms' },
    { name: `${name}, processor time`, value: medianOf(ours, 'cpuMs'), unit: 'ms' },
    { name: `${name}, peak memory`, value: medianOf(ours, 'peakBytes') / 2 ** 20, unit: 'MiB' },
  ]
  if (ratios === undefined) return own
  const compared = [
    { name: `${name}, Python / ours`, value: ratios.wall.value, unit: 'x', ci95: ratios.wall.ci95 },
    { name: `${name}, Python / ours, processor time`, value: ratios.cpu.value, unit: 'x', ci95: ratios.cpu.ci95 },
  ]
  return [...own, ...compared]
}

function memoryTarget(method: Row['method'], rows: readonly Row[]): BenchResult['targets'][number] {
  const [few = Number.NaN, many = Number.NaN] = rows
    .filter((row) => row.method === method)
    .map(({ ours }) => medianOf(ours, 'peakBytes'))
  const text = `${method}: peak memory of ${sampleCounts[1]} samples within 10 % of ${sampleCounts[0]}`
  return { text, met: many <= maxGrowth * few }
}

function speedTargets(rows: readonly Row[]): { met: BenchResult['targets']; leftOut: string[] } {
  const judged = rows.map(({ method, samples, ratios }) => {
    return { text: `${method}, ${samples} samples: at least ${minRatio} times as fast as Python's`, ratios }
  })
  return {
    met: judged.flatMap(({ text, ratios }) =>
      ratios === undefined ? [] : [{ text, met: ratios.wall.value >= minRatio }],
    ),
    leftOut: judged.flatMap(({ text, ratios }) =>
      ratios === undefined ? [`${text} (HASTEN_BENCH_PYTHON is not set)`] : [],
    ),
  }
}

function medianOf(results: readonly Calibrated[], field: keyof Calibrated): number {
  return estimateMedian(results.map((each) => each[field])).value
}
