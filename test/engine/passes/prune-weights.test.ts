import { gzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import type { Model } from '../../../src/engine/ir/model.ts'
import type { PassName } from '../../../src/engine/passes/options/index.ts'
import { encodeModel, loadModel } from '../../../src/engine/onnx/index.ts'
import { fixtureModels } from '../../support/fixture-models.ts'
import { decodedModel, ocrModels } from '../../support/models.ts'
import { blobs, mlp } from '../training/support.ts'
import { applyPass, datasetOf, expectSame, floats, int64s, noise, numbers } from './support.ts'

const all = { minElements: 0 }

function product(values: readonly number[], dims: readonly number[] = [4, 2]): Model {
  return decodedModel({
    inputs: { x: ['float32', ['n', dims[0] ?? 1]] },
    outputs: { y: ['float32'] },
    nodes: [['MatMul', ['x', 'w'], ['y'], {}, 'product']],
    initializers: { w: floats(dims, values) },
  })
}

function weightOf(model: Model, name = 'w'): number[] {
  return numbers([...model.graph.initializers].find((value) => value.name === name)?.initializer)
}

const zeros = (values: readonly number[]) => values.filter((value) => value === 0).length

function zerosAt(values: readonly number[]): Set<number> {
  return new Set(values.flatMap((value, index) => (value === 0 ? [index] : [])))
}

describe('prune.unstructured', () => {
  test('the least weights become 0, the others stay as they are', async () => {
    const { model } = await applyPass('prune.unstructured', product([5, -1, 2, -8, 0.5, 7, -3, 4]), {
      ...all,
      sparsity: 0.5,
    })
    expect(weightOf(model)).toEqual([5, 0, 0, -8, 0, 7, 0, 4])
  })

  test('of equals as many go as were asked for', async () => {
    const { model } = await applyPass('prune.unstructured', product([1, -1, 1, 1, -1, 1, 1, 1]), {
      ...all,
      sparsity: 0.25,
    })
    expect(weightOf(model)).toEqual([0, 0, 1, 1, -1, 1, 1, 1])
  })

  test('a threshold leaves what is above it', async () => {
    const { model } = await applyPass('prune.unstructured', product([5, -1, 2, -8, 0.5, 7, -3, 4]), {
      ...all,
      threshold: 2,
    })
    expect(weightOf(model)).toEqual([5, 0, 2, -8, 0, 7, -3, 4])
  })

  test('step by step, with training in between, as many go as the cubic schedule says, and none comes back', async () => {
    const gradual = { ...all, sparsity: 0.8, steps: 4 }
    let model = mlp()
    let gone = new Set<number>()
    for (const [index, share] of [0.4625, 0.7, 0.7875, 0.8].entries()) {
      model = (await applyPass('prune.unstructured', model, { ...gradual, step: index + 1 })).model
      const pruned = zerosAt(weightOf(model, 'w1'))
      expect(pruned.size).toBe(Math.floor(weightOf(model, 'w1').length * share))
      expect([...pruned]).toEqual(expect.arrayContaining([...gone]))
      const train = { epochs: 1, batch: 16, learningRate: 0.01 }
      model = (await applyPass('finetune', model, train, { train: blobs() })).model
      gone = zerosAt(weightOf(model, 'w1'))
      expect(gone).toEqual(pruned)
    }
    const beyond = applyPass('prune.unstructured', model, { ...gradual, step: 5 })
    await expect(beyond).rejects.toMatchObject({
      code: 'recipe_invalid',
      message: expect.stringContaining('no step 5 of 4'),
    })
  })

  test('globally, a layer of small weights loses more', async () => {
    const model = decodedModel({
      inputs: { x: ['float32', ['n', 8]] },
      outputs: { y: ['float32'] },
      nodes: [
        ['MatMul', ['x', 'small'], ['h']],
        ['MatMul', ['h', 'large'], ['y']],
      ],
      initializers: {
        small: floats([8, 8], (index) => 0.1 * noise(index)),
        large: floats([8, 8], (index) => noise(index, 2)),
      },
    })
    const { model: pruned } = await applyPass('prune.unstructured', model, { ...all, scope: 'global', sparsity: 0.5 })
    const [small, large] = [zeros(weightOf(pruned, 'small')), zeros(weightOf(pruned, 'large'))]
    expect(small + large).toBe(64)
    expect(small).toBeGreaterThan(50)
  })

  test('zeros that are there already lose nothing, and a second time changes nothing', async () => {
    const original = product([5, 0, 2, 0, 0, 7, 0, 4])
    const first = await applyPass('prune.unstructured', original, { ...all, sparsity: 0.5 })
    expect(first.modified).toBe(false)
    const noisy = product(
      Array.from({ length: 64 }, (_, index) => noise(index)),
      [8, 8],
    )
    const once = await applyPass('prune.unstructured', noisy, { ...all, sparsity: 0.3 })
    expect(once.modified).toBe(true)
    expect((await applyPass('prune.unstructured', once.model, { ...all, sparsity: 0.3 })).modified).toBe(false)
  })

  test('by activation, inputs that are always 0 cost nothing', async () => {
    const x = floats([16, 4], (index) => (index % 4 < 2 ? 0 : noise(index)))
    const calibration = await datasetOf({ x })
    const original = product([9, 9, 9, 9, 1, 1, 1, 1])
    const { model } = await applyPass(
      'prune.unstructured',
      original,
      { ...all, importance: 'activation' },
      { calibration },
    )
    expect(weightOf(model)).toEqual([0, 0, 0, 0, 1, 1, 1, 1])
    await expectSame(original, model, { x })
    await calibration.close()
  })

  test('by activation in groups, each group by its own inputs', async () => {
    const x = floats([8, 4, 3, 3], (index) => (Math.floor(index / 9) % 4 < 3 ? 0 : noise(index)))
    const calibration = await datasetOf({ x })
    const original = decodedModel({
      inputs: { x: ['float32', ['n', 4, 3, 3]] },
      outputs: { y: ['float32'] },
      nodes: [['Conv', ['x', 'w'], ['y'], { group: 2 }]],
      initializers: { w: floats([4, 2, 1, 1], () => 1) },
    })
    const { model } = await applyPass(
      'prune.unstructured',
      original,
      { ...all, importance: 'activation', sparsity: 0.75 },
      { calibration },
    )
    expect(weightOf(model)).toEqual([0, 0, 0, 0, 0, 1, 0, 1])
    await calibration.close()
  })

  test.each(['gradient', 'taylor'])('by %s, weights that can not change the loss go first', async (importance) => {
    // y = relu(x · w1) · w2, and w2 ignores the first hidden unit.
    const x = floats([16, 3], (index) => Math.abs(noise(index)))
    const calibration = await datasetOf({
      x,
      labels: int64s(
        [16],
        Array.from({ length: 16 }, (_, index) => index % 2),
      ),
    })
    const original = decodedModel({
      inputs: { x: ['float32', ['n', 3]] },
      outputs: { y: ['float32', ['n', 2]] },
      nodes: [
        ['MatMul', ['x', 'w1'], ['h']],
        ['Relu', ['h'], ['r']],
        ['MatMul', ['r', 'w2'], ['y']],
      ],
      initializers: { w1: floats([3, 2], [5, 1, 5, 1, 5, 1]), w2: floats([2, 2], [0, 0, 1, -1]) },
    })
    const options = { ...all, importance, exclude: ['MatMul_2'] }
    const { model } = await applyPass('prune.unstructured', original, options, { calibration })
    expect(weightOf(model, 'w1')).toEqual([0, 1, 0, 1, 0, 1])
    await calibration.close()
  })

  test('without samples, what needs them says so', async () => {
    for (const importance of ['activation', 'gradient', 'taylor'])
      await expect(
        applyPass('prune.unstructured', product([1, 2, 3, 4, 5, 6, 7, 8]), { ...all, importance }),
      ).rejects.toMatchObject({ code: 'dataset_needed' })
  })

  test('the size it tells is that of the file in gzip, and it promises no speed', async () => {
    const original = await loadModel(fixtureModels.transformer.model)
    const { model, notes, warnings } = await applyPass('prune.unstructured', original, { sparsity: 0.9 })
    const [after, before] = [gzipSync(encodeModel(model)).byteLength, gzipSync(encodeModel(original)).byteLength]
    expect(after).toBeLessThan(before / 1.5)
    expect(notes.at(-1)?.reason).toBe(`the file takes ${after} bytes in gzip, before ${before}`)
    expect(warnings?.map(({ code }) => code)).toEqual(['compression_only'])
  })
})

describe('prune.nm', () => {
  test('two of every four inputs stay, the most important ones', async () => {
    const { model } = await applyPass('prune.nm', product([1, -9, 5, 8, 3, 7, -2, 1, 1, 2, 3, 4, 5, 6, 7, 8], [8, 2]))
    expect(weightOf(model)).toEqual([0, -9, 5, 8, 3, 0, 0, 0, 0, 0, 0, 0, 5, 6, 7, 8])
  })

  test('runs lie along the input channels of a convolution, at each place of the window', async () => {
    const model = decodedModel({
      inputs: { x: ['float32', ['n', 4, 5, 5]] },
      outputs: { y: ['float32'] },
      nodes: [['Conv', ['x', 'w'], ['y']]],
      initializers: { w: floats([6, 4, 3, 3], (index) => noise(index)) },
    })
    const { model: pruned } = await applyPass('prune.nm', model, { n: 1, m: 4 })
    const values = weightOf(pruned)
    for (let output = 0; output < 6; output += 1)
      for (let place = 0; place < 9; place += 1) {
        const run = [0, 1, 2, 3].map((input) => values[(output * 4 + input) * 9 + place] as number)
        expect(zeros(run)).toBe(3)
      }
  })

  test.each<[string, Model, Record<string, unknown>, RegExp]>([
    ['inputs that are no multiple', product([1, 2, 3, 4, 5, 6], [3, 2]), {}, /3 input channels are no multiple of 4/],
    ['nothing to remove', product([1, 2, 3, 4, 5, 6, 7, 8]), { n: 4, m: 4 }, /all of it|all of them/],
    ['a name that is excluded', product([1, 2, 3, 4, 5, 6, 7, 8]), { exclude: ['prod*'] }, /excluded/],
  ])('%s', async (_name, model, options, reason) => {
    const result = await applyPass('prune.nm', model, options)
    expect(result.modified).toBe(false)
    expect(result.notes[0]?.reason).toMatch(reason)
  })

  test('a second time changes nothing', async () => {
    const original = await loadModel(fixtureModels.transformer.model)
    const once = await applyPass('prune.nm', original)
    expect(once.modified).toBe(true)
    expect((await applyPass('prune.nm', once.model)).modified).toBe(false)
  })
})

test.each<[PassName, string]>(
  (['prune.unstructured', 'prune.nm'] as const).flatMap((pass) =>
    [ocrModels.cls, ocrModels.rec, ocrModels.det].map((file): [PassName, string] => [pass, file]),
  ),
)('%s of a real model: a reason for every layer', async (pass, file) => {
  const { notes, modified } = await applyPass(pass, await loadModel(file))
  expect(modified).toBe(true)
  expect(notes.filter(({ action }) => action === 'done').length).toBeGreaterThan(20)
  for (const { reason } of notes) expect(reason).not.toBe('')
})
