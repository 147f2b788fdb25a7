import { execFile } from 'node:child_process'
import path from 'node:path'
import { promisify } from 'node:util'
import type { BenchResult } from './result.ts'

const root = path.resolve(import.meta.dirname, '..')
const child = path.join(root, 'bench/calibration-child.ts')
const model = path.join(root, 'examples/digits/digits.onnx')
const data = path.join(root, 'examples/digits/evaluation.npz')
const methods = ['entropy', 'percentile'] as const
const fewSamples = 64
const manySamples = 1024
const batch = 8
const rounds = 3
const maxGrowth = 1.1

interface Calibrated {
  readonly ms: number
  readonly peakBytes: number
}

/** Calibration of every value of the digit CNN, in processes of their own; docs/benchmarks.md has Python's figures. */
export async function run(): Promise<BenchResult> {
  const figures: BenchResult['figures'][number][] = []
  const targets: BenchResult['targets'][number][] = []
  for (const method of methods) {
    const few = await calibrateRounds(method, fewSamples)
    const many = await calibrateRounds(method, manySamples)
    for (const [samples, { ms, peakBytes }] of [
      [fewSamples, few],
      [manySamples, many],
    ] as const) {
      figures.push({ name: `${method}, ${samples} samples`, value: ms, unit: 'ms' })
      figures.push({ name: `${method}, ${samples} samples, peak memory`, value: peakBytes / 2 ** 20, unit: 'MiB' })
    }
    const met = many.peakBytes <= maxGrowth * few.peakBytes
    targets.push({ text: `${method}: peak memory of ${manySamples} samples within 10 % of ${fewSamples}`, met })
  }
  return {
    name: 'calibration',
    method: `examples/digits, batch ${batch}, one runtime thread, median of ${rounds} processes`,
    figures,
    targets,
  }
}

async function calibrateRounds(method: string, samples: number): Promise<Calibrated> {
  const results: Calibrated[] = []
  for (let round = 0; round < rounds; round += 1) results.push(await calibrateOnce(method, samples))
  return { ms: medianOf(results.map(({ ms }) => ms)), peakBytes: medianOf(results.map(({ peakBytes }) => peakBytes)) }
}

async function calibrateOnce(method: string, samples: number): Promise<Calibrated> {
  const args = [child, model, data, method, String(samples), String(batch)]
  const { stdout } = await promisify(execFile)(process.execPath, args)
  return JSON.parse(stdout) as Calibrated
}

function medianOf(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] as number
}
