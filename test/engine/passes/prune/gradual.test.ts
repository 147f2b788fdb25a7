import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import type { Model } from '../../../../src/engine/ir/model.ts'
import { loadModel, saveModel } from '../../../../src/engine/onnx/index.ts'
import { shareAfter, shareBefore } from '../../../../src/engine/passes/prune/gradual.ts'
import { parseRecipe } from '../../../../src/engine/recipes/parse.ts'
import { runRecipe } from '../../../../src/engine/recipes/run.ts'
import { decodedModel } from '../../../support/models.ts'
import { ints, memoryDataset } from '../../training/support.ts'
import { applyPass, createContext, floats, noise } from '../support.ts'

const folder = mkdtempSync(path.join(tmpdir(), 'hasten-gradual-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** Layers of 20 and 12 channels. */
const net = () =>
  decodedModel({
    inputs: { x: ['float32', ['n', 3, 6, 6]] },
    outputs: { logits: ['float32', ['n', 4]] },
    nodes: [
      ['Conv', ['x', 'w1', 'b1'], ['c1']],
      ['Relu', ['c1'], ['r1']],
      ['Conv', ['r1', 'w2', 'b2'], ['c2']],
      ['Relu', ['c2'], ['r2']],
      ['GlobalAveragePool', ['r2'], ['mean']],
      ['Flatten', ['mean'], ['flat']],
      ['Gemm', ['flat', 'w3', 'b3'], ['logits']],
    ],
    initializers: {
      w1: floats([20, 3, 3, 3], (index) => noise(index, 1)),
      b1: floats([20], (index) => noise(index, 2)),
      w2: floats([12, 20, 3, 3], (index) => noise(index, 3)),
      b2: floats([12], (index) => noise(index, 4)),
      w3: floats([12, 4], (index) => noise(index, 5)),
      b3: floats([4], (index) => noise(index, 6)),
    },
  })

const samples = 48
const data = memoryDataset(
  { x: floats([samples, 3, 6, 6], (index) => noise(index, 7)) },
  ints(
    [samples],
    Array.from({ length: samples }, (_, index) => index % 4),
  ),
)

const widths = ({ graph }: Model) => {
  const dims = new Map([...graph.initializers].map(({ name, initializer }) => [name, initializer?.dims ?? []]))
  return [dims.get('w1')?.[0], dims.get('w2')?.[1], dims.get('w2')?.[0], dims.get('w3')?.[0]]
}

const options = { ratio: 0.5, block: 1, minKept: 0, steps: 2 }
const recipe = [
  { pass: 'prune.structured', options: { ...options, step: 1 } },
  { pass: 'finetune', options: { epochs: 1, batch: 16, learningRate: 0.01 } },
  { pass: 'prune.structured', options: { ...options, step: 2 } },
  { pass: 'finetune', options: { epochs: 1, batch: 16, learningRate: 0.01 } },
]

async function runSteps(count: number): Promise<Model> {
  const file = path.join(folder, 'net.onnx')
  await saveModel(net(), file)
  const result = await runRecipe({
    model: file,
    recipe: parseRecipe({ version: 1, steps: recipe.slice(0, count) }),
    runtime: createContext().runtime,
    target: { ...createContext().target, threads: 1 },
    signal: new AbortController().signal,
    train: data,
    workDir: mkdtempSync(path.join(folder, 'run-')),
  })
  return loadModel(result.path)
}

describe('prune.structured step by step', () => {
  test.each([
    [1, [12, 12, 7, 7]],
    [2, [12, 12, 7, 7]],
    [3, [10, 10, 6, 6]],
    [4, [10, 10, 6, 6]],
  ])(
    'after %i steps of prune, finetune, prune, finetune layers have the widths that were asked for',
    async (count, expected) => {
      const model = await runSteps(count)
      expect(widths(model)).toEqual(expected)
      // The last pruning leaves no trace of how it came about.
      expect([...model.metadataProps.keys()]).toEqual(count < 3 ? ['hasten.prune.structured'] : [])
    },
  )

  test('ends in blocks where it would have ended at once', async () => {
    const blocks = { ratio: 0.6, block: 4, minKept: 0.25 }
    const atOnce = (await applyPass('prune.structured', net(), blocks)).model
    let model = net()
    const seen: unknown[] = []
    for (const step of [1, 2, 3, 4]) {
      model = (await applyPass('prune.structured', model, { ...blocks, step, steps: 4 })).model
      seen.push(widths(model)[0])
    }
    expect(seen).toEqual([16, 12, 12, 8])
    expect(widths(model)).toEqual(widths(atOnce))
  })

  test('by cost, saves the share of what the layers cost before the first step', async () => {
    const byCost = { ratio: 0.5, scope: 'cost', block: 1, minKept: 0, steps: 2 }
    const first = await applyPass('prune.structured', net(), { ...byCost, step: 1 })
    const second = await applyPass('prune.structured', first.model, { ...byCost, step: 2 })
    const macs = 20 * 27 * 16 + 12 * 180 * 4 + 12 * 4
    const costs = [first, second].map(({ notes }) => {
      const text = notes.map(({ reason }) => reason).join()
      return (/cost (\S+) of (\S+) multiply/.exec(text) ?? []).slice(1).map(Number)
    })
    for (const [index, share] of [0.4375, 0.5].entries()) {
      const [after = 0, before = 0] = costs[index] ?? []
      expect(before).toBe(Number(macs.toPrecision(3)))
      expect(after).toBeLessThanOrEqual((1 - share) * macs * 1.01)
      expect(after).toBeGreaterThan((1 - share) * macs * 0.9)
    }
  })

  test('a step that comes first counts from what is there, and so does one that finds nonsense', async () => {
    const [first] = recipe
    const begun = (await applyPass('prune.structured', net(), first?.options)).model
    begun.metadataProps.set('hasten.prune.structured', '{"units":{"c1":"many"}}')
    expect(widths((await applyPass('prune.structured', begun, { ...options, step: 2 })).model)).toEqual([6, 6, 4, 4])
  })

  test('a new pruning does not count from where another began', async () => {
    const begun = (await applyPass('prune.structured', net(), { ...options, step: 1 })).model
    const again = (await applyPass('prune.structured', begun, { ...options, step: 1 })).model
    expect(widths(again)).toEqual([7, 7, 4, 4])
  })

  test('a step beyond the last is refused', async () => {
    const beyond = applyPass('prune.structured', net(), { ...options, step: 3 })
    await expect(beyond).rejects.toMatchObject({
      code: 'recipe_invalid',
      message: expect.stringContaining('no step 3 of 2'),
    })
  })
})

test('shares of the cubic schedule follow each other', () => {
  expect([1, 2, 3].map((step) => shareAfter(0.54, { step, steps: 3 }))).toEqual([
    expect.closeTo(0.38, 12),
    expect.closeTo(0.52, 12),
    0.54,
  ])
  expect(shareBefore(0.54, { step: 1, steps: 3 })).toBe(0)
  expect(shareBefore(0.54, { step: 3, steps: 3 })).toBeCloseTo(0.52, 12)
})
