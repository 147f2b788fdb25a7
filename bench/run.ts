// Runs the benchmarks, or those named on the command line, prints their figures and exits 1 when a target is missed.
import { cpus } from 'node:os'
import type { BenchResult } from './result.ts'

const benchmarks: Readonly<Record<string, () => Promise<{ run: () => Promise<BenchResult> }>>> = {
  artifacts: async () => import('./artifacts.ts'),
  attention: async () => import('./attention.ts'),
  autodiff: async () => import('./autodiff.ts'),
  batching: async () => import('./serving/batching.ts'),
  calibration: async () => import('./calibration.ts'),
  codec: async () => import('./codec.ts'),
  'job-latency': async () => import('./job-latency.ts'),
  latency: async () => import('./serving/latency.ts'),
  matrix: async () => import('./matrix.ts'),
  peers: async () => import('./serving/peers.ts'),
  prediction: async () => import('./serving/prediction.ts'),
  recipes: async () => import('./recipes.ts'),
  saturation: async () => import('./serving/saturation.ts'),
  shadow: async () => import('./serving/shadow.ts'),
  scale: async () => import('./serving/scale.ts'),
  'shows-distill': async () => import('./shows/distill.ts'),
  'shows-ocr': async () => import('./shows/ocr.ts'),
  'shows-prune': async () => import('./shows/prune.ts'),
  'shows-qat': async () => import('./shows/qat.ts'),
  training: async () => import('./training.ts'),
}

/** Many minutes to an hour each: run only when named. */
const longOnes: ReadonlySet<string> = new Set(['recipes', 'shows-distill', 'shows-ocr', 'shows-prune', 'shows-qat'])

const wanted = process.argv.slice(2)
const unknown = wanted.filter((name) => !(name in benchmarks))
if (unknown.length > 0) {
  process.stderr.write(`no benchmark ${unknown.join(', ')}; there are ${Object.keys(benchmarks).join(', ')}\n`)
  process.exit(1)
}

process.stdout.write(`${cpus()[0]?.model ?? 'unknown CPU'}, ${cpus().length} logical CPUs, Node ${process.version}\n`)
let missed = 0
for (const [name, load] of Object.entries(benchmarks)) {
  if (wanted.length === 0 ? longOnes.has(name) : !wanted.includes(name)) continue
  const { run } = await load()
  const result = await run()
  process.stdout.write(format(result))
  missed += result.targets.filter(({ met }) => !met).length
}
process.exit(missed === 0 ? 0 : 1)

function format({ name, method, figures, targets, leftOut = [] }: BenchResult): string {
  const lines = figures.map(({ name, value, unit, ci95 }) => {
    const interval = ci95 === undefined ? '' : `  [${ci95.map(round).join(', ')}]`
    return `  ${name.padEnd(44)} ${round(value)} ${unit}${interval}`
  })
  const verdicts = targets.map(({ text, met }) => `  ${met ? 'met   ' : 'MISSED'} ${text}`)
  const unseen = leftOut.map((text) => `  not run ${text}`)
  return [`\n${name}: ${method}`, ...lines, ...verdicts, ...unseen, ''].join('\n')
}

function round(value: number): string {
  return String(Number(value.toPrecision(4)))
}
