import { describe, expect, test } from 'vitest'
import { Value } from 'typebox/value'
import type { Model } from '../../../../src/engine/ir/model.ts'
import { viewOf } from '../../../../src/engine/ir/tensor.ts'
import type { PassName } from '../../../../src/engine/passes/options/index.ts'
import type { PassContext } from '../../../../src/engine/passes/pass.ts'
import type { CheckpointStore } from '../../../../src/engine/passes/train/hooks.ts'
import { thinLosses } from '../../../../src/engine/passes/train/training-record.ts'
import { trainingSchema, type TrainedStep } from '../../../../src/engine/schemas.ts'
import { blobs, mlp } from '../../training/support.ts'
import { applyPass, createContext } from '../support.ts'

const target = { ...createContext().target, threads: 1 }
const quick = { epochs: 3, learningRate: 0.01, batch: 16 }

/** What a pass says of its training, after a check that it is what the API answers. */
async function recordOf(pass: PassName, model: Model, options: object, change: Partial<PassContext> = {}) {
  const context = { train: blobs(), target, ...change }
  const { findings, modified } = await applyPass(pass, model, { ...quick, ...options }, context)
  const step = JSON.parse(JSON.stringify({ pass, ...findings?.training })) as TrainedStep
  expect([...Value.Errors(trainingSchema, { steps: [step] })]).toEqual([])
  return { ...step, modified }
}

describe('the record of a training', () => {
  test('has each epoch, what was trained on what, and the options that matter', async () => {
    const record = await recordOf('finetune', mlp(), { frozen: ['b1'], seed: 3, patience: 2 })
    expect(record).toMatchObject({
      pass: 'finetune',
      options: { optimizer: { kind: 'adam' }, learningRate: 0.01, batch: 16, epochs: 3, seed: 3, patience: 2 },
      learned_from: { alpha: 1, teachers: [], temperature: null },
      samples: { trained_on: 216, held_back: 24 },
      metric: 'accuracy',
      updates: 42,
      stopped: 'epochs',
      parameters: { trained: 196, tensors: 3, frozen: ['b1'], frozen_tensors: 1 },
      held: { weights: [], tensors: 0, zeros: 0, sparsity: 0 },
      resumed: [],
    })
    expect(record.epochs.map(({ epoch, step }) => [epoch, step])).toEqual([0, 1, 2, 3].map((n) => [n, 14 * n]))
    expect(record.epochs[0]).toMatchObject({ loss: null, learning_rate: null, validation_loss: expect.any(Number) })
    const [, first, , last] = record.epochs
    expect(last!.loss).toBeLessThan(first!.loss!)
    expect(last!.learning_rate).toBeLessThan(first!.learning_rate!)
    // The loss of an epoch is the mean of its updates.
    expect(record.losses).toHaveLength(42)
    const own = record.losses.slice(0, 14).map(({ loss }) => loss)
    expect(own.reduce((sum, loss) => sum + loss, 0) / 14).toBeCloseTo(first!.loss!, 10)
    expect(record.epochs[record.best_epoch]!.metric).toBe(Math.max(...record.epochs.map(({ metric }) => metric!)))
  })

  test('says that no epoch was better, and why it ended', async () => {
    const spoiling = { optimizer: { kind: 'sgd' }, learningRate: 1e-12, epochs: 9, patience: 2 }
    expect(await recordOf('finetune', mlp(), spoiling)).toMatchObject({
      modified: false,
      best_epoch: 0,
      stopped: 'patience',
    })
  })

  test('counts the zeros that were held, and names the teachers', async () => {
    const pruned = await applyPass('prune.unstructured', mlp(), { sparsity: 0.8, minElements: 1 })
    const weights = [...pruned.model.graph.initializers].filter(({ name }) => name.startsWith('w'))
    const zeros = weights.flatMap(({ initializer }) => [...viewOf(initializer!, 'float32')].filter((w) => w === 0))
    const record = await recordOf('distill', pruned.model, { alpha: 0.25, temperature: 2 })
    expect(record).toMatchObject({
      learned_from: { alpha: 0.25, teachers: ['original'], temperature: 2 },
      held: { weights: ['w1', 'w2'], tensors: 2, zeros: zeros.length },
    })
    expect(record.held.sparsity).toBe(zeros.length / record.parameters.trained)
  })

  test.each([
    ['labels', { alpha: 1, teachers: [], temperature: null }],
    ['original', { alpha: 0, teachers: ['original'], temperature: 4 }],
  ])('of quantization-aware training from %s', async (learnFrom, lesson) => {
    const record = await recordOf('qat', mlp(), { learnFrom })
    expect(record).toMatchObject({ learned_from: lesson, updates: 42, modified: true })
  })

  test('keeps the epochs before a crash', async () => {
    let checkpoint: Uint8Array | undefined
    const storeOf = (crashes: boolean): CheckpointStore => ({
      everyMs: 0,
      find: async () => checkpoint,
      put: async (_key, bytes) => {
        checkpoint = bytes
        if (crashes) throw new Error('the process ends here')
      },
    })
    const trained = async (crashes: boolean) => {
      const training = { loadModel: async () => mlp(), checkpoints: storeOf(crashes) }
      return recordOf('finetune', mlp(), {}, { training })
    }
    const whole = await trained(false)
    checkpoint = undefined
    // The first checkpoint of a process is due after its first update.
    for (let crash = 1; crash <= 16; crash += 1) await expect(trained(true)).rejects.toThrow('the process ends here')
    const resumed = await trained(false)
    expect(resumed.resumed).toHaveLength(16)
    expect(resumed.resumed.slice(12)).toEqual([
      { epoch: 1, step: 13 },
      { epoch: 2, step: 14 },
      { epoch: 2, step: 15 },
      { epoch: 2, step: 16 },
    ])
    expect({ ...resumed, resumed: [] }).toEqual(whole)
  })
})

test('many losses become means of neighbours, each update in one', () => {
  const losses = Array.from({ length: 1001 }, (_, index) => index)
  const points = thinLosses(losses)
  expect(points).toHaveLength(167)
  expect(points[0]).toEqual({ step: 6, loss: 2.5 })
  expect(points.at(-1)).toEqual({ step: 1001, loss: 998 })
  expect(thinLosses([3, 1])).toEqual([
    { step: 1, loss: 3 },
    { step: 2, loss: 1 },
  ])
})
