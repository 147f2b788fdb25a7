import { stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import {
  createOracle,
  parseGates,
  parseRecipe,
  runRecipe,
  type ForecastOracle,
  type RecipeResult,
  type SessionOptions,
  type TensorInfo,
} from '../../engine/index.ts'
import { openCheckpoints } from './checkpoints.ts'
import type { OptimizeContext } from './context.ts'
import { openKernelTimes } from './kernel-times.ts'
import type { Materials } from './materials.ts'
import { openRecipeCache } from './recipe-cache.ts'
import { describeUntouched } from './untouched.ts'

/** What the recipe made of the model. */
export interface OptimizedModel {
  readonly path: string
  /** The model first, then its external data. */
  readonly files: readonly { readonly name: string; readonly path: string; readonly sizeBytes: number }[]
  /** Session options that a pass chose. */
  readonly session: SessionOptions
  /** Whether anything differs from the original: the graph, or how it is run. */
  readonly changed: boolean
  /** Why the recipe changed no layer, so that what it made are lossless rewrites at most. */
  readonly untouched?: string | undefined
}

/** What the recipe made and found. */
export interface Transformed extends Pick<RecipeResult, 'explained' | 'findings' | 'trainings' | 'forecasts'> {
  /** The recipe's own result first, then what its search found about as good. */
  readonly finalists: readonly [Finalist, ...Finalist[]]
}

/** A model that is measured against the original. */
interface Finalist {
  readonly name: string
  readonly optimized: OptimizedModel
}

/** Runs the recipe; its passes are the stages simplify, calibrate and optimize. */
export async function transformModel(
  context: OptimizeContext,
  materials: Materials,
  inputs: readonly TensorInfo[],
): Promise<Transformed> {
  const { input, isa, recorder, runtime, signal, workDir } = context
  const { device, threads, batch } = input.target
  const cache = openRecipeCache(context, materials)
  try {
    const result = await runRecipe({
      model: materials.modelPath,
      recipe: parseRecipe(input.recipeBody),
      runtime,
      target: { device, threads, batch, isa },
      calibration: materials.calibration,
      train: materials.train,
      models: materials.models,
      checkpoints: openCheckpoints(context),
      onTraining: (event) => recorder.training(event),
      sampleInputs: inputs,
      signal,
      onStage: async (name, work) => recorder.stage(name, work),
      onProgress: (done, total, unit) => recorder.progress(done, total, unit),
      log: (message) => recorder.log(message),
      workDir,
      cache,
      oracle: askedForSize(context) ? undefined : openOracle(context),
    })
    for (const warning of result.warnings) await recorder.warn(warning)
    const { explained, findings, trainings, forecasts } = result
    return { explained, findings, trainings, forecasts, finalists: await listFinalists(context, result) }
  } finally {
    cache.release()
  }
}

async function listFinalists({ input }: OptimizeContext, result: RecipeResult): Promise<Transformed['finalists']> {
  const { path, session, modified, variants, notes } = result
  const changed = modified || Object.keys(session).length > 0
  const untouched = describeUntouched(parseRecipe(input.recipeBody), notes)
  const optimized = { path, files: await listFiles(result), session, changed, untouched }
  const own = { name: input.recipeName, optimized }
  const others = variants.map(async (variant): Promise<Finalist> => {
    const made = { path: variant.path, files: await listFiles(variant), session: {}, changed: true }
    return { name: `${input.recipeName}.${variant.name}`, optimized: made }
  })
  return [own, ...(await Promise.all(others))]
}

/** Gates on size or memory want every weight small, also where that costs time. */
function askedForSize({ job }: OptimizeContext): boolean {
  return parseGates(job.gates).some(({ metric }) => metric === 'size' || metric === 'memory')
}

/** The oracle of this host for the threads of the target. */
function openOracle(context: OptimizeContext): ForecastOracle {
  const { runtime, runtimeModule, cpu, isa, input } = context
  const host = { cpu, isa, ort: runtime.version, threads: input.target.threads }
  return createOracle({ host, runtime: runtimeModule, cache: openKernelTimes(context, host) })
}

async function listFiles({
  path,
  files,
}: {
  path: string
  files: readonly string[]
}): Promise<OptimizedModel['files']> {
  return Promise.all(
    files.map(async (name) => {
      const file = join(dirname(path), name)
      return { name, path: file, sizeBytes: (await stat(file)).size }
    }),
  )
}
