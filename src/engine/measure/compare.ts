import { stat } from 'node:fs/promises'
import type { Feeds } from '../runtime/port.ts'
import type { SessionOptions } from '../runtime/options.ts'
import { defaultResamples } from './bootstrap.ts'
import type { Evidence, ModelEvidence } from './evidence.ts'
import { measureInChild, type ForkOptions } from './fork.ts'
import type { ColdResult, MeasuredModel, RuntimeModule, WarmModel } from './protocol.ts'
import { medianOf } from './statistics.ts'
import { judgeSpeedup } from './verdict.ts'

export interface ComparedModel {
  readonly path: string
  readonly session?: SessionOptions
  /** The size with external data; that of the file at `path` when absent. */
  readonly sizeBytes?: number
}

export interface CompareOptions {
  readonly baseline: ComparedModel
  readonly optimized: ComparedModel
  /** Inputs of one run each, all with `target.batch` samples; runs take them in turn. */
  readonly inputs: readonly Feeds[]
  /** `threads` are the intra-op threads of sessions whose options don't say. */
  readonly target: { readonly threads: number; readonly batch: number }
  /** The runtime's module, loaded in the measuring processes only. */
  readonly runtime: RuntimeModule
  /** Milliseconds for the interleaved runs; a very slow model takes longer, for the sake of a usable interval. */
  readonly budgetMs: number
  /** Fresh processes per model for cold start and peak memory. */
  readonly coldStarts?: number
  readonly seed?: number
  readonly resamples?: number
  /** Milliseconds after which measuring is given up; ten times the budget, at least ten minutes, when absent. */
  readonly timeoutMs?: number
  readonly signal?: AbortSignal
  readonly onProgress?: (done: number, total: number) => void
}

const defaultColdStarts = 3
const minTimeoutMs = 600_000

/**
 * Measures an optimized model against its baseline on this host.
 * @throws HastenError `measurement_failed`, `model_load_failed`, `run_failed` and what else the runtime says,
 * `job_canceled` or the signal's own HastenError
 */
export async function compareModels(options: CompareOptions): Promise<Evidence> {
  const { target, runtime, inputs, budgetMs, seed = 1, resamples = defaultResamples } = options
  const began = performance.now()
  const limits: ForkOptions = {
    signal: options.signal,
    timeoutMs: options.timeoutMs ?? Math.max(minTimeoutMs, 10 * budgetMs),
  }
  const baseline = withThreads(options.baseline, target.threads)
  const optimized = withThreads(options.optimized, target.threads)
  const cold = await measureCold([baseline, optimized], options, limits)
  const warm = await measureInChild<'compare'>(
    { kind: 'compare', runtime, baseline, optimized, inputs, budgetMs, seed, resamples },
    { ...limits, onProgress: options.onProgress },
  )
  const sizes = await Promise.all([options.baseline, options.optimized].map(readSize))
  return {
    baseline: assembleModel(warm.baseline, cold[0], sizes[0], target.batch),
    optimized: assembleModel(warm.optimized, cold[1], sizes[1], target.batch),
    speedup: warm.speedup,
    noise: warm.noise,
    significance: judgeSpeedup(warm.speedup, warm.noise),
    method: {
      batch: target.batch,
      threads: target.threads,
      rounds: warm.rounds,
      runs_per_block: warm.runsPerBlock,
      resamples,
      seed,
      elapsed_ms: performance.now() - began,
    },
  }
}

/** Cold starts of the models in turn, so that the host's drift meets both. */
async function measureCold(
  models: readonly MeasuredModel[],
  { runtime, inputs, coldStarts = defaultColdStarts }: CompareOptions,
  limits: ForkOptions,
): Promise<ColdResult[]> {
  const results: ColdResult[][] = models.map(() => [])
  for (let start = 0; start < coldStarts; start += 1) {
    for (const [index, model] of models.entries()) {
      const request = { kind: 'cold', runtime, model, inputs: inputs.slice(0, 1) } as const
      results[index]?.push(await measureInChild<'cold'>(request, limits))
    }
  }
  return results.map((runs) => ({
    coldStartMs: medianOf(runs.map(({ coldStartMs }) => coldStartMs)),
    peakMemoryBytes: medianOf(runs.map(({ peakMemoryBytes }) => peakMemoryBytes)),
  }))
}

function withThreads({ path, session }: ComparedModel, threads: number): MeasuredModel {
  return { path, session: { intraOpThreads: threads, ...session } }
}

async function readSize({ path, sizeBytes }: ComparedModel): Promise<number> {
  return sizeBytes ?? (await stat(path)).size
}

function assembleModel(
  { latency, throughput }: WarmModel,
  cold: ColdResult | undefined,
  size: number | undefined,
  batch: number,
): ModelEvidence {
  return {
    latency,
    throughput,
    frames_per_second: throughput * batch,
    cold_start_ms: cold?.coldStartMs ?? Number.NaN,
    peak_memory_bytes: cold?.peakMemoryBytes ?? Number.NaN,
    size_bytes: size ?? Number.NaN,
  }
}
