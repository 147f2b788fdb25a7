import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { copyFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { loadModel, saveModel } from '../../../src/engine/onnx/index.ts'
import { builtinRecipes } from '../../../src/engine/recipes/builtin.ts'
import { parseRecipe } from '../../../src/engine/recipes/parse.ts'
import { runRecipe, type RecipeNote, type RecipeOptions, type StageRunner } from '../../../src/engine/recipes/run.ts'
import type { CachedResult, RecipeCache } from '../../../src/engine/recipes/step-cache.ts'
import { decodedModel, ocrModels } from '../../support/models.ts'
import { countOps, cosine, datasetOf, floats, noise, numbers, runModel, runtime } from '../passes/support.ts'

const root = mkdtempSync(path.join(tmpdir(), 'hasten-recipe-'))
const folder = () => mkdtempSync(path.join(root, 'run-'))

afterAll(() => rmSync(root, { recursive: true, force: true }))

const target = { device: 'cpu', isa: ['avx2'], threads: 1 }

interface Watched {
  readonly stages: string[]
  readonly notes: RecipeNote[]
  readonly onStage: StageRunner
}

function watchStages(): Watched {
  const stages: string[] = []
  const notes: RecipeNote[] = []
  const onStage: StageRunner = async (name, work) => {
    stages.push(name)
    const done = await work()
    notes.push(...done.notes)
    return done.value
  }
  return { stages, notes, onStage }
}

function optionsOf(recipe: string | object, changes: Partial<RecipeOptions> = {}): RecipeOptions {
  return {
    model: ocrModels.cls,
    recipe: parseRecipe(recipe),
    runtime,
    target,
    signal: new AbortController().signal,
    workDir: folder(),
    ...changes,
  }
}

const images = floats([6, 3, 48, 96], (index) => noise(index))

test.each([
  ['lossless', ['simplify'], [], 0.99999],
  ['fp16', ['simplify', 'optimize'], ['fp16_storage_only'], 0.999],
  ['int8-dynamic', ['simplify', 'optimize'], [], 0.999],
  ['int8-static', ['simplify', 'calibrate', 'optimize'], ['int8_not_accelerated'], 0.95],
] as const)(
  '%s runs its stages in order, and its result loads and answers like the original',
  async (name, stages, warnings, close) => {
    const watched = watchStages()
    const calibration = await datasetOf({ x: images })
    const progress: number[] = []
    const options = optionsOf(builtinRecipes[name], {
      calibration,
      onStage: watched.onStage,
      onProgress: (done) => progress.push(done),
    })
    const result = await runRecipe(options)
    await calibration.close()
    expect(watched.stages).toEqual(stages)
    expect(watched.notes).toEqual(result.notes)
    expect(result.warnings.map(({ code }) => code)).toEqual(warnings)
    expect(result).toMatchObject({
      modified: true,
      files: ['optimized.onnx'],
      path: path.join(options.workDir, 'optimized.onnx'),
    })
    expect(new Set(result.notes.map(({ pass }) => pass))).toEqual(
      new Set(name === 'lossless' ? ['simplify'] : options.recipe.steps.map(({ pass }) => pass)),
    )
    if (name === 'int8-static') expect(progress.at(-1)).toBe(6)
    const feeds = { x: floats([1, 3, 48, 96], (index) => noise(index)) }
    const [before] = Object.values(await runModel(await loadModel(ocrModels.cls), feeds))
    const [after] = Object.values(await runModel(await loadModel(result.path), feeds, {}))
    expect(cosine(numbers(before), numbers(after))).toBeGreaterThan(close)
  },
)

test('int8-static without calibration data asks for a dataset before it does anything', async () => {
  const watched = watchStages()
  const run = runRecipe(optionsOf(builtinRecipes['int8-static'], { onStage: watched.onStage }))
  await expect(run).rejects.toMatchObject({ code: 'dataset_needed', message: expect.stringContaining('int8-static') })
  expect(watched.stages).toEqual([])
})

test('a dataset for another model is a mismatch', async () => {
  const calibration = await datasetOf({ x: floats([4, 1, 8, 8], () => 0) })
  await expect(
    runRecipe(optionsOf('version: 1\nsteps:\n  - pass: quantize.static\n', { calibration })),
  ).rejects.toMatchObject({ code: 'dataset_mismatch' })
  await calibration.close()
})

test('stages only go forward: a late simplify belongs to the stage it comes in', async () => {
  const watched = watchStages()
  await runRecipe(
    optionsOf(
      { version: 1, steps: [{ pass: 'quantize.dynamic' }, { pass: 'simplify' }, { pass: 'fp16' }] },
      { onStage: watched.onStage },
    ),
  )
  expect(watched.stages).toEqual(['optimize'])
})

test('a recipe that finds nothing to do says so, and still gives a model', async () => {
  const model = path.join(folder(), 'relu.onnx')
  await saveModel(
    decodedModel({
      inputs: { x: ['float32', [2]] },
      outputs: { y: ['float32', [2]] },
      nodes: [['Relu', ['x'], ['y']]],
    }),
    model,
  )
  const result = await runRecipe(optionsOf(builtinRecipes['int8-dynamic'], { model }))
  expect(result).toMatchObject({ modified: false, session: {} })
  expect(countOps(await loadModel(result.path))).toEqual({ Relu: 1 })
})

test('the input file stays as it was', async () => {
  const model = path.join(folder(), 'model.onnx')
  await copyFile(ocrModels.cls, model)
  await runRecipe(optionsOf(builtinRecipes.lossless, { model }))
  expect(Buffer.compare(readFileSync(model), readFileSync(ocrModels.cls))).toBe(0)
})

test('cancelling between and inside passes ends the run with the reason of the signal', async () => {
  const before = AbortSignal.abort(new Error('too late'))
  await expect(runRecipe(optionsOf(builtinRecipes.lossless, { signal: before }))).rejects.toThrow('too late')
  const controller = new AbortController()
  const onStage: StageRunner = async (_name, work) => {
    const running = work()
    controller.abort(new Error('stop'))
    return (await running).value
  }
  await expect(runRecipe(optionsOf(builtinRecipes.fp16, { signal: controller.signal, onStage }))).rejects.toThrow()
})

test('a pass that fails is named', async () => {
  const model = path.join(folder(), 'broken.onnx')
  // Loads here, but the runtime refuses the rank that MatMul would have.
  await saveModel(
    decodedModel({
      inputs: { x: ['float32', [2, 3]] },
      outputs: { y: ['float32', [1]] },
      initializers: { w: floats([5, 700], () => 1) },
      nodes: [['MatMul', ['x', 'w'], ['y']]],
    }),
    model,
  )
  const calibration = await datasetOf({ x: floats([2, 3], () => 1) })
  const run = runRecipe(optionsOf('version: 1\nsteps:\n  - pass: quantize.static\n', { model, calibration }))
  await expect(run).rejects.toMatchObject({
    code: 'pass_failed',
    message: expect.stringContaining("pass 'quantize.static'"),
  })
  await calibration.close()
})

function memoryCache(): RecipeCache & {
  readonly entries: Map<string, { path: string; result: CachedResult }>
  readonly hits: string[]
} {
  const kept = folder()
  const entries = new Map<string, { path: string; result: CachedResult }>()
  const hits: string[] = []
  return {
    entries,
    hits,
    modelHash: 'm',
    version: '1',
    find: (key) => {
      if (entries.has(key)) hits.push(key)
      return Promise.resolve(entries.get(key))
    },
    put: async (key, entry) => {
      const copy = path.join(kept, `${key}.onnx`)
      await copyFile(entry.path, copy)
      entries.set(key, { ...entry, path: copy })
    },
  }
}

test('a step whose result is known is taken from the cache, with its notes and warnings', async () => {
  const cache = memoryCache()
  const calibration = await datasetOf({ x: images })
  const first = await runRecipe(optionsOf(builtinRecipes['int8-static'], { cache, calibration }))
  expect(cache.entries.size).toBe(2)
  expect(cache.hits).toEqual([])
  const second = await runRecipe(optionsOf(builtinRecipes['int8-static'], { cache, calibration }))
  expect(cache.hits).toHaveLength(2)
  expect(second.notes).toEqual(first.notes)
  expect(second.warnings).toEqual(first.warnings)
  expect(countOps(await loadModel(second.path))).toEqual(countOps(await loadModel(first.path)))
  // Another recipe shares the first step; other options, hosts and versions share nothing.
  await runRecipe(optionsOf(builtinRecipes.lossless, { cache, calibration }))
  expect(cache.hits).toHaveLength(3)
  await runRecipe(
    optionsOf(builtinRecipes.lossless, { cache, calibration, target: { ...target, isa: ['avx512_vnni'] } }),
  )
  await runRecipe(optionsOf(builtinRecipes.lossless, { cache: { ...cache, version: '2' }, calibration }))
  await runRecipe(optionsOf(builtinRecipes.lossless, { cache: { ...cache, calibrationHash: 'd' }, calibration }))
  expect(cache.hits).toHaveLength(3)
  await calibration.close()
})

test('the work folder holds the result when the run is over', async () => {
  const options = optionsOf(builtinRecipes.lossless)
  await runRecipe(options)
  expect(readdirSync(options.workDir)).toEqual(['optimized.onnx'])
})
