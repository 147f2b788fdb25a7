import { mkdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import {
  builtinRecipes,
  createOracle,
  openDataset,
  openKernelCache,
  parseRecipe,
  runRecipe,
  type Runtime,
  type RuntimeModule,
} from '../../src/engine/index.ts'
import { createOrtRuntime } from '../../src/engine/runtime/ort/index.ts'
import { describeCpu, type CpuInfo } from '../../src/jobs/hosts/cpu.ts'
import { runPython } from '../child.ts'
import type { MatrixCase } from './cases.ts'

/** A model file, or why there is none. */
export type Artifact =
  | { readonly name: string; readonly path: string }
  | { readonly name: string; readonly error: string }

const recipeNames = ['lossless', 'int8-dynamic', 'int8-static', 'int8-mixed', 'auto', 'w8'] as const
type RecipeName = (typeof recipeNames)[number]

export interface Host {
  readonly cpu: CpuInfo
  readonly runtime: Runtime
  readonly runtimeModule: RuntimeModule
  readonly threads: number
  /** Keeps kernel times between benchmarks. */
  readonly oracle: ReturnType<typeof createOracle>
}

/** This machine, with a runtime of its own. */
export async function openHost(threads: number): Promise<Host> {
  const url = new URL('../../src/engine/runtime/ort/index.ts', import.meta.url).href
  const runtimeModule = { url, factory: 'createOrtRuntime' }
  const [cpu, runtime] = [await describeCpu(), createOrtRuntime()]
  const host = { cpu: cpu.model, isa: cpu.isa, ort: runtime.version, threads }
  const cache = openKernelCache(path.join(tmpdir(), 'hasten-bench-kernels'), host)
  return { cpu, runtime, runtimeModule, threads, oracle: createOracle({ host, runtime: runtimeModule, cache }) }
}

/** What each recipe makes of a model, as a job on this host would. */
export async function makeOurs(
  each: MatrixCase,
  folder: string,
  host: Host,
  only: readonly RecipeName[] = recipeNames,
): Promise<Artifact[]> {
  const artifacts: Artifact[] = []
  for (const name of only) {
    artifacts.push(await runOne({ name, recipe: builtinRecipes[name], workDir: path.join(folder, name) }, each, host))
  }
  return artifacts
}

interface RecipeRun {
  readonly name: string
  readonly recipe: object
  readonly workDir: string
}

async function runOne(
  { name, recipe, workDir }: RecipeRun,
  { model, calibration }: MatrixCase,
  host: Host,
): Promise<Artifact> {
  await mkdir(workDir, { recursive: true })
  const { cpu, runtime, threads, oracle } = host
  const dataset = await openDataset(calibration)
  try {
    const result = await runRecipe({
      model,
      recipe: parseRecipe(recipe),
      runtime,
      target: { device: 'cpu', threads, batch: 1, isa: cpu.isa },
      calibration: dataset,
      signal: new AbortController().signal,
      workDir,
      oracle,
    })
    return { name, path: result.path }
  } catch (error) {
    return { name, error: error instanceof Error ? error.message : String(error) }
  } finally {
    await dataset.close()
  }
}

/** What onnxruntime's Python tools make of it, in every sensible setting. */
export async function makeTheirs(each: MatrixCase, folder: string, interpreter: string): Promise<Artifact[]> {
  await mkdir(folder, { recursive: true })
  const args = [each.model, each.calibration, folder, String(2 ** 20)]
  return runPython<Artifact[]>(interpreter, 'scripts/fixtures/quantize-baselines.py', args)
}
