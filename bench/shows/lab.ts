import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import {
  compareModels,
  measureQuality,
  openDataset,
  parseRecipe,
  runRecipe,
  type Dataset,
  type Evidence,
  type RecipeResult,
} from '../../src/engine/index.ts'
import { bindDataset } from '../../src/engine/data/index.ts'
import { openHost, type Host } from '../matrix/artifacts.ts'

const threads = 1
const timedInputs = 16
const budgetMs = 6000

/** A recipe step as a user writes it. */
export interface Step {
  readonly pass: string
  readonly options?: Readonly<Record<string, unknown>>
}

interface Made {
  readonly model: string
  readonly steps: readonly Step[]
  readonly train?: string
  readonly calibration?: string
  /** Models that steps name by their ids. */
  readonly models?: ReadonlyMap<string, string>
}

/** What a job does, in this process: recipes, judging by labels, and timing in turns. */
export interface Lab {
  readonly folder: string
  readonly host: Host
  /** The file of the result. */
  make(made: Made): Promise<string>
  /** Share of the samples that a model gets right, in percent. */
  score(file: string, dataset: string): Promise<number>
  /** How many times as fast the second model is, one sample a run. */
  race(baseline: string, optimized: string, dataset: string): Promise<Evidence>
  close(): Promise<void>
}

export async function openLab(): Promise<Lab> {
  const folder = await mkdtemp(path.join(tmpdir(), 'hasten-shows-'))
  const host = await openHost(threads)
  const { cpu, runtime, runtimeModule, oracle } = host
  let made = 0
  return {
    folder,
    host,
    async make({ model, steps, train, calibration, models }) {
      const workDir = path.join(folder, `made-${(made += 1)}`)
      await mkdir(workDir)
      return withDatasets([train, calibration], async ([trainData, calibrationData]) => {
        const result = await runRecipe({
          model,
          recipe: parseRecipe({ version: 1, steps }),
          runtime,
          target: { device: 'cpu', threads, batch: 1, isa: cpu.isa },
          train: trainData,
          calibration: calibrationData,
          models,
          signal: new AbortController().signal,
          workDir,
          oracle,
        })
        tell(result)
        return result.path
      })
    },
    async score(file, dataset) {
      const both = { path: file, session: { intraOpThreads: threads } }
      return withDatasets([dataset], async ([opened]) => {
        const options = { baseline: both, optimized: both, dataset: opened as Dataset, runtime, batch: 250 }
        const { metrics } = await measureQuality(options)
        const found = metrics.find(({ metric }) => metric === 'top1')
        if (found === undefined) throw new Error('no top-1 among the metrics')
        return 100 * found.optimized
      })
    },
    async race(baseline, optimized, dataset) {
      return withDatasets([dataset], async ([opened]) => {
        const session = await runtime.createSession({ path: baseline })
        const bound = bindDataset(opened as Dataset, session.inputs).dataset
        const inputs = await Promise.all(Array.from({ length: timedInputs }, (_, index) => bound.read(index, 1)))
        await session.release()
        return compareModels({
          baseline: { path: baseline },
          optimized: { path: optimized },
          inputs,
          target: { threads, batch: 1 },
          runtime: runtimeModule,
          budgetMs,
          coldStarts: 1,
        })
      })
    },
    close: () => rm(folder, { recursive: true, force: true }),
  }
}

async function withDatasets<T>(
  files: readonly (string | undefined)[],
  use: (opened: readonly (Dataset | undefined)[]) => Promise<T>,
): Promise<T> {
  const opened = await Promise.all(files.map(async (file) => file && openDataset(file)))
  const datasets = opened.map((each) => each || undefined)
  try {
    return await use(datasets)
  } finally {
    for (const dataset of datasets) await dataset?.close()
  }
}

function tell({ notes }: RecipeResult): void {
  for (const { pass, node = '', reason } of notes) process.stdout.write(`  ${pass} ${node}: ${reason}\n`)
}
