import { statSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { trialRun } from '../../../src/engine/analysis/index.ts'
import { generateInputs } from '../../../src/engine/data/index.ts'
import type { Model } from '../../../src/engine/ir/model.ts'
import { allNodes, graphsWithin } from '../../../src/engine/ir/model.ts'
import { printModel } from '../../../src/engine/ir/print.ts'
import { tensorOf } from '../../../src/engine/ir/tensor.ts'
import { decodeModel, encodeModel, loadModel } from '../../../src/engine/onnx/index.ts'
import { upgradeOpset } from '../../../src/engine/rewrite/opset/upgrade.ts'
import { liftConstants } from '../../../src/engine/rewrite/lift-constants.ts'
import type { Feeds } from '../../../src/engine/runtime/port.ts'
import { fixtureModels } from '../../support/fixture-models.ts'
import { ocrModels, vadModel } from '../../support/models.ts'
import { applyPass, countOps, createContext, expectSame, floats, noise } from './support.ts'

// What must hold of the lossless pass on any model: same answers, settled after one run, the same through a file.

const digits = new URL('../../../examples/digits/digits.onnx', import.meta.url).pathname

/** Room for what folding makes of weights that two branches read. */
const options = { maxGrowthBytes: 2 ** 23 }

async function inputsOf(file: string) {
  const { inputs } = await trialRun(file, createContext().runtime, { deadlineMs: 30_000 })
  return inputs as Parameters<typeof generateInputs>[0]
}

describe.each([
  ['PP-OCR cls', ocrModels.cls],
  ['the digit CNN', digits],
  ['a transformer', fixtureModels.transformer.model],
  ['an LSTM', fixtureModels.lstm.model],
  ['boosted trees', fixtureModels.boostedTrees.model],
  ['Silero VAD', vadModel],
])('%s', (_what, file) => {
  test('answers the same after it, and a second run finds nothing more', async () => {
    const [original, sampleInputs] = [await loadModel(file), await inputsOf(file)]
    const { model, notes } = await applyPass('simplify', original, options, { sampleInputs })
    expect(notes.filter(({ action }) => action === 'rolled_back')).toEqual([])
    await expectSame(original, model, generateInputs(sampleInputs, { batch: 1, seed: 5 }))
    const again = await applyPass('simplify', model, options, { sampleInputs })
    expect(again.notes.filter(({ action }) => action === 'done')).toEqual([])
    expect(again.modified).toBe(false)
  })

  test('becomes the same when it went through a file first', async () => {
    const unproven = { ...options, prove: false }
    const original = await loadModel(file)
    const { model } = await applyPass('simplify', original, unproven)
    const reread = await applyPass('simplify', decodeModel(encodeModel(original)), unproven)
    expect(printModel(reread.model)).toBe(printModel(model))
  })
})

function vadFeeds(rate: 8000 | 16_000): Feeds {
  const samples = rate === 8000 ? 256 : 512
  return {
    input: floats([1, samples], (index) => noise(index) / 3),
    state: floats([2, 1, 128], (index) => noise(index, 2)),
    sr: tensorOf('int64', [], BigInt64Array.of(BigInt(rate))),
  }
}

function nodeCount(model: Model): number {
  return [...graphsWithin(model.graph)].reduce((count, graph) => count + graph.nodes.size, 0)
}

test('Silero VAD: the nets in both branches shrink, and both rates answer as before', async () => {
  const [original, sampleInputs] = [await loadModel(vadModel), await inputsOf(vadModel)]
  const { model } = await applyPass('simplify', original, options, { sampleInputs })
  expect(countOps(model)['Constant']).toBeUndefined()
  // Constants aside, a third of the nodes were shuffling weights and sizes that are known.
  expect(nodeCount(model)).toBeLessThan((nodeCount(original) - (countOps(original)['Constant'] ?? 0)) * 0.75)
  for (const rate of [8000, 16_000] as const) await expectSame(original, model, vadFeeds(rate))
})

test('Silero VAD does not grow: what its branches compute from the same weights is written once', async () => {
  const [original, before] = [await loadModel(vadModel), statSync(vadModel).size]
  for (const maxGrowthBytes of [2 ** 20, 2 ** 14, 0]) {
    const { model } = await applyPass('simplify', original, { ...options, prove: false, maxGrowthBytes })
    expect(encodeModel(model).byteLength).toBeLessThanOrEqual(before + maxGrowthBytes)
    if (maxGrowthBytes < 2 ** 20) continue
    expect(encodeModel(model).byteLength).toBeLessThan(before * 1.01)
    const lstms = [...allNodes(model)].filter(({ opType }) => opType === 'LSTM')
    // Each net chooses between two by the rank of its state, which is known.
    expect(lstms).toHaveLength(2)
    for (const { inputs } of lstms) expect(inputs[1]?.initializer).toBeDefined()
  }
})

test('Silero VAD means the same in opset 22', async () => {
  const [original, model] = [await loadModel(vadModel), await loadModel(vadModel)]
  liftConstants(model)
  expect(upgradeOpset(model, 22)).toBeUndefined()
  for (const rate of [8000, 16_000] as const) await expectSame(original, model, vadFeeds(rate))
})
