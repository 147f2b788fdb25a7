import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { describe, expect, test } from 'vitest'
import { trialRun } from '../../../src/engine/analysis/index.ts'
import { openDataset } from '../../../src/engine/data/index.ts'
import { measureQuality, type QualityReport } from '../../../src/engine/measure/index.ts'
import { loadModel } from '../../../src/engine/onnx/index.ts'
import { builtinRecipes, type BuiltinRecipeName } from '../../../src/engine/recipes/builtin.ts'
import { parseRecipe } from '../../../src/engine/recipes/parse.ts'
import { runRecipe, type RecipeResult } from '../../../src/engine/recipes/run.ts'
import type { TensorInfo } from '../../../src/engine/runtime/port.ts'
import { fixtureModels } from '../../support/fixture-models.ts'
import { vadModel } from '../../support/models.ts'
import { cosine, floats, int64s, noise, numbers, runModel, runtime } from '../passes/support.ts'

const target = { device: 'cpu', isa: ['avx2'], threads: 1 }

interface Outcome {
  readonly result: RecipeResult
  readonly quality: QualityReport
  /** Size of the file in parts of the original's. */
  readonly size: number
}

async function optimize(name: keyof typeof fixtureModels, recipe: BuiltinRecipeName): Promise<Outcome> {
  const { model, calibration, evaluation } = fixtureModels[name]
  const workDir = mkdtempSync(path.join(tmpdir(), 'hasten-real-'))
  const [samples, labelled] = [await openDataset(calibration), await openDataset(evaluation, { label: 'labels' })]
  const signal = new AbortController().signal
  try {
    const parsed = parseRecipe(hurried(recipe))
    const result = await runRecipe({ model, recipe: parsed, runtime, target, calibration: samples, signal, workDir })
    const size = statSync(result.path).size / statSync(model).size
    const quality = await measureQuality({
      baseline: { path: model, session: {} },
      optimized: { path: result.path, session: result.session },
      dataset: labelled,
      runtime,
      limit: 250,
    })
    return { result, quality, size }
  } finally {
    await samples.close()
    await labelled.close()
    rmSync(workDir, { recursive: true })
  }
}

/** The recipe with less time for its measurements. */
function hurried(name: BuiltinRecipeName) {
  const { steps, ...rest } = builtinRecipes[name]
  const quick = steps.map(({ pass, options }) =>
    pass === 'quantize.weights' ? { pass, options: { ...options, measureMs: 200 } } : { pass, options },
  )
  return { ...rest, steps: quick }
}

function valueOf({ metrics }: QualityReport, metric: string): number {
  return metrics.find((each) => each.metric === metric)?.optimized ?? Number.NaN
}

/** Recipe, least share of equal answers, largest size in parts of the original's. */
type Row = [recipe: BuiltinRecipeName, agreement: number, size: number]

const rows: Record<'transformer' | 'lstm', Row[]> = {
  transformer: [
    ['lossless', 1, 1.01],
    ['fp16', 0.995, 0.52],
    ['bf16', 0.99, 0.52],
    ['int8-dynamic', 0.99, 0.3],
    ['int8-static', 0.95, 0.7],
    ['w8', 0.995, 0.33],
    ['w4', 0.98, 0.21],
  ],
  lstm: [
    ['lossless', 1, 1.01],
    ['fp16', 0.995, 0.52],
    ['bf16', 0.99, 0.52],
    ['int8-dynamic', 0.99, 0.3],
    // Only the last layer is no LSTM.
    ['int8-static', 0.98, 1],
    ['w8', 0.99, 1],
    ['w4', 0.97, 1],
  ],
}

describe.each(['transformer', 'lstm'] as const)('%s', (name) => {
  test.each(rows[name])(
    '%s: answers alike on real data, and the file is as small as it should be',
    async (recipe, agreement, size) => {
      const outcome = await optimize(name, recipe)
      expect(valueOf(outcome.quality, 'agreement')).toBeGreaterThanOrEqual(agreement)
      expect(valueOf(outcome.quality, 'top1')).toBeGreaterThan(0.94)
      expect(outcome.size).toBeLessThan(size)
    },
  )
})

test.each(['lossless', 'fp16', 'bf16', 'int8-dynamic', 'int8-static', 'w8', 'w4'] as const)(
  'boosted trees have nothing for %s, which leaves them as they are or says why',
  async (recipe) => {
    const { result, quality } = await optimize('boostedTrees', recipe)
    expect(valueOf(quality, 'agreement')).toBeGreaterThanOrEqual(0.995)
    for (const note of result.notes) expect(note.reason).not.toBe('')
  },
)

test('Silero VAD, int8-dynamic: the LSTMs of both branches are found behind what puts their weights together', async () => {
  const workDir = mkdtempSync(path.join(tmpdir(), 'hasten-real-'))
  try {
    const trial = await trialRun(vadModel, runtime, { deadlineMs: 60_000 })
    const sampleInputs = trial.inputs as readonly TensorInfo[]
    const recipe = parseRecipe(builtinRecipes['int8-dynamic'])
    const { signal } = new AbortController()
    const result = await runRecipe({ model: vadModel, recipe, runtime, target, sampleInputs, signal, workDir })
    const done = result.notes.filter(({ op, action }) => op === 'LSTM' && action === 'done')
    expect(done).toHaveLength(2)
    expect(statSync(result.path).size).toBeLessThan(0.8 * statSync(vadModel).size)
    const feeds = {
      input: floats([1, 512], (index) => noise(index) / 3),
      state: floats([2, 1, 128], (index) => noise(index, 2)),
      sr: int64s([], [16_000]),
    }
    const [before, after] = [
      await runModel(await loadModel(vadModel), feeds),
      await runModel(await loadModel(result.path), feeds),
    ]
    expect(cosine(numbers(before['stateN']), numbers(after['stateN']))).toBeGreaterThan(0.995)
  } finally {
    rmSync(workDir, { recursive: true })
  }
})
