import { createHash, randomUUID } from 'node:crypto'
import path from 'node:path'
import { loadModel, saveModel } from '../onnx/index.ts'
import type { PassFindings } from '../passes/findings.ts'
import { passSchemas } from '../passes/options/index.ts'
import type { NextStage, Note, Pass, PassResult, Target, Warning } from '../passes/pass.ts'
import type { Runtime } from '../runtime/port.ts'
import type { RecipeStep } from './schema.ts'

/** What of a pass's result is kept beside the model. */
export interface CachedResult {
  readonly modified: boolean
  readonly notes: readonly Note[]
  readonly warnings: readonly Warning[]
  readonly findings?: PassFindings | undefined
}

/** Results of passes by key, from this job or others. */
export interface RecipeCache {
  /** Hash of the model's files. */
  readonly modelHash: string
  /** Hash of the calibration dataset, which proofs and ranges depend on. */
  readonly calibrationHash?: string | undefined
  /** Hash of the training dataset. */
  readonly trainHash?: string | undefined
  /** Version of this software: another one may give other results. */
  readonly version: string
  find(key: string): Promise<{ readonly path: string; readonly result: CachedResult } | undefined>
  put(key: string, entry: { readonly path: string; readonly result: CachedResult }): Promise<void>
}

interface StepContext {
  readonly cache?: RecipeCache | undefined
  readonly runtime: Runtime
  readonly target: Target
  readonly workDir: string
}

interface StepOutcome {
  /** Key of the model after this step. */
  readonly key: string
  readonly value: PassResult | NextStage
  /** Puts the result of a later stage into the cache. */
  readonly keep: (result: PassResult) => Promise<void>
}

/** What these passes give depends on how fast this host is now. */
const measuresHost: ReadonlySet<string> = new Set(['tune', 'auto'])

const keepNothing = () => Promise.resolve()

/** Takes a step's result from the cache, or runs it and puts it there. A pass that measures this host is always run. */
export async function cachedStep(
  context: StepContext,
  step: RecipeStep,
  pass: Pass,
  before: string,
  run: () => Promise<PassResult | NextStage>,
): Promise<StepOutcome> {
  const { cache } = context
  if (cache === undefined) return { key: before, value: await run(), keep: keepNothing }
  if (measuresHost.has(pass.name)) return runUncached(before, run)
  const key = stepKey(context, cache, step, pass, before)
  const found = await cache.find(key)
  if (found !== undefined) {
    const { findings, ...rest } = found.result
    const value = { model: await loadModel(found.path), ...rest, ...(findings && { findings }) }
    return { key, value, keep: keepNothing }
  }
  const value = await run()
  const keep = (result: PassResult) => keepResult(context, cache, key, result)
  if (!('stage' in value)) await keep(value)
  return { key, value, keep }
}

/** What such a pass made of the model this time is not what it makes another time: steps after it share nothing. */
async function runUncached(before: string, run: () => Promise<PassResult | NextStage>): Promise<StepOutcome> {
  const value = await run()
  const isSame = !('stage' in value) && !value.modified
  return { key: isSame ? before : randomUUID(), value, keep: keepNothing }
}

/** Everything a result depends on: what ran before, the pass and its options, the data, the software, the CPU. */
function stepKey(
  { runtime, target }: StepContext,
  cache: RecipeCache,
  step: RecipeStep,
  pass: Pass,
  before: string,
): string {
  const parts = [
    before || cache.modelHash,
    cache.calibrationHash ?? '',
    // Only what was trained depends on it; what comes after starts from another key.
    'train' in passSchemas[pass.name].needs ? (cache.trainHash ?? '') : '',
    cache.version,
    runtime.version,
    target.device,
    [...target.isa].sort(),
    step.pass,
    pass.version,
    step.options,
  ]
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex')
}

/** A model that one file can't hold is not kept. */
async function keepResult(
  { workDir }: StepContext,
  cache: RecipeCache,
  key: string,
  result: PassResult,
): Promise<void> {
  const file = path.join(workDir, `${key.slice(0, 16)}.onnx`)
  const files = await saveModel(result.model, file)
  if (files.length > 1) return
  const { modified, notes, warnings = [], findings } = result
  await cache.put(key, { path: file, result: { modified, notes, warnings, ...(findings && { findings }) } })
}
