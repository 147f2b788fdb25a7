import path from 'node:path'
import { describe, expect, test } from 'vitest'
import { openDataset, type Dataset } from '../../../../src/engine/data/index.ts'
import type { Model } from '../../../../src/engine/ir/model.ts'
import { viewOf } from '../../../../src/engine/ir/tensor.ts'
import { loadModel } from '../../../../src/engine/onnx/index.ts'
import type { PassResult } from '../../../../src/engine/passes/pass.ts'
import { blobs, floats, ints, memoryDataset, mlp, noise } from '../../training/support.ts'
import { applyPass, createContext } from '../support.ts'

const examples = path.resolve(import.meta.dirname, '../../../../examples/digits')
const target = { ...createContext().target, threads: 1 }
const quick = { epochs: 3, learningRate: 0.01, batch: 16 }

const reasons = ({ notes }: PassResult) => notes.map(({ action, reason }) => `${action}: ${reason}`)
const weightsOf = ({ graph }: Model, name: string) =>
  Array.from(viewOf([...graph.initializers].find((value) => value.name === name)!.initializer!, 'float32'))

async function withDigits<T>(work: (dataset: Dataset) => Promise<T>): Promise<T> {
  const dataset = await openDataset(path.join(examples, 'evaluation.npz'))
  try {
    return await work(dataset)
  } finally {
    await dataset.close()
  }
}

function withoutLabels(dataset: Dataset): Dataset {
  const arrays = dataset.schema.arrays.filter(({ name }) => name !== 'labels')
  return { ...dataset, schema: { arrays, labels: null }, labels: async () => undefined }
}

/** The metric after a training, from its note. */
function metricAfter(result: PassResult): number {
  return Number(/→ .*(?:accuracy|agreement) ([\d.]+) on samples/.exec(reasons(result).join('\n'))?.[1])
}

describe('finetune', () => {
  test('says what it did: losses, metric, updates, what stayed', async () => {
    const result = await applyPass('finetune', mlp(), { ...quick, frozen: ['b1'] }, { train: blobs(), target })
    expect(result.modified).toBe(true)
    const [outcome, parameters] = reasons(result)
    expect(outcome).toMatch(
      /^done: 42 updates in 3 epochs, until all epochs were done: loss [\d.]+, accuracy [\d.]+ → loss [\d.]+, accuracy [\d.]+ on samples held back; epoch \d was the best$/,
    )
    expect(parameters).toBe('info: 196 parameters in 3 tensors were trained; frozen: b1')
    expect(metricAfter(result)).toBeGreaterThan(0.9)
    expect(weightsOf(result.model, 'b1')).toEqual(weightsOf(mlp(), 'b1'))
  })

  test('trains what globs choose', async () => {
    const result = await applyPass('finetune', mlp(), { ...quick, parameters: ['?2'] }, { train: blobs(), target })
    expect(weightsOf(result.model, 'w1')).toEqual(weightsOf(mlp(), 'w1'))
    expect(weightsOf(result.model, 'w2')).not.toEqual(weightsOf(mlp(), 'w2'))
  })

  test('keeps the weights where no epoch was better', async () => {
    const spoiling = { ...quick, optimizer: { kind: 'sgd' }, learningRate: 1e-12, epochs: 1 }
    const result = await applyPass('finetune', mlp(), spoiling, { train: blobs(), target })
    expect(result.modified).toBe(false)
    expect(reasons(result)[0]).toMatch(/^skipped: .* no epoch was better than the model as it was \(loss/)
  })

  test.each([
    ['prune.unstructured', { sparsity: 0.7, minElements: 1 }],
    ['prune.nm', { n: 2, m: 4 }],
  ] as const)('holds the zeros of %s', async (pass, options) => {
    const pruned = await applyPass(pass, mlp(), options)
    const result = await applyPass('finetune', pruned.model, quick, { train: blobs(), target })
    expect(result.modified).toBe(true)
    expect(reasons(result).join()).toMatch(/the zeros of 2 pruned weights stayed exactly 0: w1, w2/)
    for (const name of ['w1', 'w2']) {
      const [before, after] = [weightsOf(pruned.model, name), weightsOf(result.model, name)]
      expect(after.filter((value) => value === 0).length).toBe(before.filter((value) => value === 0).length)
      expect(before.every((value, index) => value !== 0 || after[index] === 0)).toBe(true)
      expect(after).not.toEqual(before)
    }
    const free = await applyPass('finetune', pruned.model, { ...quick, keepZeros: false }, { train: blobs(), target })
    // Neurons that pruning left nothing to say learn nothing.
    const zeros = (model: Model) => weightsOf(model, 'w1').filter((value) => value === 0).length
    expect(zeros(free.model)).toBeLessThan(zeros(pruned.model) / 2)
  })

  test('gives structured pruning its accuracy back', { timeout: 60_000 }, async () => {
    const model = await loadModel(path.join(examples, 'digits.onnx'))
    await withDigits(async (train) => {
      const pruned = await applyPass('prune.structured', model, { ratio: 0.5, refit: false }, { calibration: train })
      const result = await applyPass('finetune', pruned.model, { epochs: 1 }, { train, target })
      const [, before] = /accuracy ([\d.]+) →/.exec(reasons(result)[0]!) ?? []
      expect(metricAfter(result)).toBeGreaterThan(Number(before) + 0.1)
    })
  })

  test('learns from the original where there are no labels, if asked', async () => {
    const unlabelled = withoutLabels(blobs())
    const teacher = (await applyPass('finetune', mlp(), quick, { train: blobs(), target })).model
    const training = { loadModel: async () => teacher }
    const options = { ...quick, withoutLabels: 'distill' }
    const result = await applyPass('finetune', mlp(), options, { calibration: unlabelled, training, target })
    expect(metricAfter(result)).toBeGreaterThan(0.9)
    expect(reasons(result)).toContain('info: learned from original at temperature 4; no labels were used')
    await expect(applyPass('finetune', mlp(), quick, { train: unlabelled, training, target })).rejects.toMatchObject({
      code: 'dataset_needed',
      message: expect.stringContaining('no labels'),
    })
  })
})

describe('what can not be learned from is refused', () => {
  const learn = async (train: Dataset, options = {}) =>
    applyPass('finetune', mlp(), { ...quick, ...options }, { train, target })
  const points = floats([40, 8], noise(320, 3))

  test('labels out of range, and of another number than the samples', async () => {
    const labels = ints(
      [40],
      Array.from({ length: 40 }, (_, index) => index % 5),
    )
    await expect(learn(memoryDataset({ x: points }, labels))).rejects.toMatchObject({
      code: 'dataset_mismatch',
      message: expect.stringContaining('label 4 of sample 4 in "labels" is out of range'),
    })
    const few = memoryDataset(
      { x: points },
      ints(
        [40],
        Array.from({ length: 40 }, () => 0),
      ),
    )
    const short: Dataset = { ...few, labels: async (start, count) => (await few.labels(start, count - 1))! }
    await expect(learn(short)).rejects.toMatchObject({ code: 'dataset_mismatch' })
  })

  test('a single sample', async () => {
    const one = memoryDataset({ x: floats([1, 8], noise(8, 3)) }, ints([1], [0]))
    await expect(learn(one)).rejects.toMatchObject({
      code: 'dataset_mismatch',
      message: expect.stringContaining('a single sample'),
    })
  })

  test('a loss that explodes', async () => {
    const options = {
      optimizer: { kind: 'sgd' },
      learningRate: 100,
      clipNorm: 0,
      epochs: 20,
      schedule: { kind: 'constant' },
    }
    await expect(learn(blobs(), options)).rejects.toMatchObject({
      code: 'training_diverged',
      message: expect.stringMatching(/^step \d+: /),
    })
  })
})
