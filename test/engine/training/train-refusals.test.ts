import { describe, expect, test } from 'vitest'
import type { TrainOptions } from '../../../src/engine/training/index.ts'
import { blobs, failure, floats, ints, memoryDataset, mlp, noise, run } from './support.ts'

describe('refusals', () => {
  const cases: [string, () => Partial<TrainOptions>, string, string][] = [
    [
      'a label out of range',
      () => ({ dataset: memoryDataset({ x: floats([4, 8], noise(32, 1)) }, ints([4], [0, 1, 4, 2])) }),
      'dataset_mismatch',
      'label 4 of sample 2 in "labels" is out of range; the model has 4 classes, 0 to 3',
    ],
    [
      'a negative label',
      () => ({ dataset: memoryDataset({ x: floats([4, 8], noise(32, 1)) }, ints([4], [0, -1, 3, 2])) }),
      'dataset_mismatch',
      'label -1 of sample 1',
    ],
    ['fewer labels than samples', () => ({ dataset: wrongLabels() }), 'dataset_mismatch', 'labels for'],
    [
      'labels that are no classes',
      () => ({ dataset: memoryDataset({ x: floats([4, 8], noise(32, 1)) }, floats([4], [0, 1, 2, 3])) }),
      'dataset_mismatch',
      'labels "labels" are float32; cross-entropy takes class indices',
    ],
    [
      'numbers of other dims than the output',
      () => ({
        loss: { kind: 'mse' },
        dataset: memoryDataset({ x: floats([4, 8], noise(32, 1)) }, floats([4, 3], noise(12, 1))),
      }),
      'dataset_mismatch',
      'labels "labels" have dims [4, 3], 3 numbers a sample; the output needs 4',
    ],
    [
      'no labels',
      () => ({ dataset: memoryDataset({ x: floats([4, 8], noise(32, 1)) }) }),
      'dataset_needed',
      'the dataset has none',
    ],
    [
      'a single sample',
      () => ({ dataset: memoryDataset({ x: floats([1, 8], noise(8, 1)) }, ints([1], [0])) }),
      'dataset_mismatch',
      'the dataset has a single sample',
    ],
    [
      'an operator without gradient on the way',
      () => ({
        model: mlp({
          nodes: [
            ['Gemm', ['x', 'w1', 'b1'], ['h']],
            ['Round', ['h'], ['r']],
            ['Hardmax', ['r'], ['m']],
            ['Gemm', ['m', 'w2', 'b2'], ['logits']],
          ],
        }),
      }),
      'not_differentiable',
      'Hardmax',
    ],
    [
      'a pattern that nothing matches',
      () => ({ parameters: { include: ['conv*'] } }),
      'not_differentiable',
      "'conv*'; there are: w1, b1, w2, b2",
    ],
    ['an output that is not there', () => ({ output: 'y' }), 'recipe_invalid', "no output 'y'; it has 'logits'"],
    ['patience without judges', () => ({ patience: 2, validationShare: 0 }), 'recipe_invalid', 'early stopping'],
    [
      'bytes that are no checkpoint',
      () => ({ resume: new Uint8Array(100) }),
      'checkpoint_mismatch',
      'do not begin like one',
    ],
  ]
  test.each(cases)('%s', async (_name, options, code, detail) => {
    const error = await failure(run(options()))
    expect(error.message).toContain(detail)
    expect(error.code).toBe(code)
    expect(error.hint.length).toBeGreaterThan(10)
  })

  test('a checkpoint of another training, or cut off', async () => {
    const checkpoints: Uint8Array[] = []
    await run({ epochs: 1, onCheckpoint: (bytes) => void checkpoints.push(bytes) })
    const other = await failure(run({ epochs: 1, seed: 1, resume: checkpoints[0]! }))
    expect(other).toMatchObject({
      code: 'checkpoint_mismatch',
      message: expect.stringContaining('other parameters, data or options'),
    })
    const cut = await failure(run({ epochs: 1, resume: checkpoints[0]!.subarray(0, -5) }))
    expect(cut.code).toBe('checkpoint_mismatch')
  })

  test('a loss that explodes', async () => {
    const x = noise(64 * 8, 3, 50)
    const dataset = memoryDataset({ x: floats([64, 8], x) }, floats([64, 4], noise(256, 4)))
    const options = {
      dataset,
      loss: { kind: 'mse' },
      optimizer: { kind: 'sgd' },
      learningRate: 0.1,
      epochs: 20,
    } as const
    const error = await failure(run(options))
    expect(error.code).toBe('training_diverged')
    expect(error.message).toMatch(/^step \d+: the loss 'train\/loss' exploded from/)
  })

  test.each([
    ['in one run', {}],
    ['in runs that are added up', { batch: 16, accumulate: 2 }],
  ])('NaN stops it with the step and the tensor named, %s', async (_what, options) => {
    const model = mlp({
      nodes: [
        ['Gemm', ['x', 'w1', 'b1'], ['h']],
        ['Sqrt', ['h'], ['r'], {}, 'root'],
        ['Gemm', ['r', 'w2', 'b2'], ['logits']],
      ],
    })
    const error = await failure(run({ model, validationShare: 0, ...options }))
    expect(error.code).toBe('training_diverged')
    expect(error.message).toBe("step 1: tensor 'r' (output of Sqrt node 'root') holds NaN")
  })
})

function wrongLabels() {
  const good = blobs({ samples: 40 })
  return { ...good, labels: async () => ints([3], [0, 1, 2]) }
}
