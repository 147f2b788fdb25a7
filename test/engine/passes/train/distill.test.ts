import { describe, expect, test } from 'vitest'
import type { Dataset } from '../../../../src/engine/data/index.ts'
import type { PassResult } from '../../../../src/engine/passes/pass.ts'
import type { TrainingHooks } from '../../../../src/engine/passes/train/hooks.ts'
import { blobs, floats, memoryDataset, mlp, noise } from '../../training/support.ts'
import { decodedModel } from '../../../support/models.ts'
import { applyPass, createContext } from '../support.ts'

const target = { ...createContext().target, threads: 1 }
const quick = { epochs: 4, learningRate: 0.01, batch: 16 }
const reasons = ({ notes }: PassResult) => notes.map(({ action, reason }) => `${action}: ${reason}`).join('\n')

async function unlabelled(): Promise<Dataset> {
  const labelled = blobs()
  const { x } = await labelled.read(0, labelled.samples)
  return memoryDataset({ x: x! })
}

const taught = async () => (await applyPass('finetune', mlp(), quick, { train: blobs(), target })).model

describe('distill', () => {
  test('teaches a pruned model without labels what the original says', async () => {
    const teacher = await taught()
    const pruned = await applyPass('prune.unstructured', teacher, { sparsity: 0.8, minElements: 1 })
    const context = { calibration: await unlabelled(), training: { loadModel: async () => teacher }, target }
    const result = await applyPass('distill', pruned.model, quick, context)
    expect(result.modified).toBe(true)
    expect(reasons(result)).toMatch(/agreement [\d.]+ → .*agreement (1|0\.[89])/)
    expect(reasons(result)).toContain('stayed exactly 0')
  })

  test('takes labels, several teachers, and values inside', async () => {
    const teacher = await taught()
    const asked: string[] = []
    const training: TrainingHooks = { loadModel: async (name) => (asked.push(name), teacher) }
    const hidden = [...teacher.graph.nodes].find(({ opType }) => opType === 'Relu')!.outputs[0]!.name
    const other = `mdl_${'0'.repeat(26)}`
    const options = {
      ...quick,
      teachers: ['original', other],
      alpha: 0.5,
      features: [{ student: hidden, teacher: hidden }],
    }
    const result = await applyPass('distill', mlp(), options, { train: blobs(), training, target })
    expect(asked).toEqual(['original', other])
    expect(reasons(result)).toContain(
      `learned from original, ${other} at temperature 4; labels weigh 0.5; 1 values inside`,
    )
  })

  test('refuses a teacher with other outputs, and a path without gradients, by name', async () => {
    const wide = decodedModel({
      inputs: { x: ['float32', ['N', 8]] },
      outputs: { logits: ['float32', ['N', 5]] },
      initializers: { w: floats([8, 5], noise(40, 1)) },
      nodes: [['MatMul', ['x', 'w'], ['logits']]],
    })
    const train = await unlabelled()
    const learn = async (training: TrainingHooks, model = mlp()) =>
      applyPass('distill', model, quick, { train, training, target })
    await expect(learn({ loadModel: async () => wide })).rejects.toMatchObject({
      code: 'teacher_mismatch',
      message: expect.stringContaining('teacher 0 gives float32 [N, 5], the student float32 [N, 4]'),
    })
    const blocked = decodedModel({
      inputs: { x: ['float32', ['N', 8]] },
      outputs: { logits: ['float32', ['N', 4]] },
      initializers: { w: floats([8, 4], noise(32, 1)) },
      nodes: [
        ['MatMul', ['x', 'w'], ['h']],
        ['Hardmax', ['h'], ['logits'], {}, 'choice'],
      ],
    })
    await expect(learn({ loadModel: async () => blocked }, blocked)).rejects.toMatchObject({
      code: 'not_differentiable',
      message: expect.stringContaining('choice'),
    })
  })
})

describe('a checkpoint', () => {
  test('is gone on from, and one that does not fit is left', async () => {
    const kept = new Map<string, Uint8Array>()
    const logs: string[] = []
    const context = (find?: Uint8Array) => ({
      train: blobs(),
      target,
      log: (message: string) => logs.push(message),
      training: {
        loadModel: async () => mlp(),
        checkpoints: {
          everyMs: 0,
          find: async (key: string) => find ?? kept.get(key),
          put: async (key: string, bytes: Uint8Array) => void kept.set(key, bytes),
        },
      },
    })
    const whole = await applyPass('finetune', mlp(), quick, context())
    expect(kept.size).toBe(1)
    expect(reasons(await applyPass('finetune', mlp(), quick, context()))).toBe(reasons(whole))
    expect(logs).toEqual(['training goes on from the checkpoint of an earlier attempt'])
    const [checkpoint] = kept.values()
    const other = await applyPass('finetune', mlp(), { ...quick, learningRate: 0.02 }, context(checkpoint))
    expect(logs.at(-1)).toMatch(/^training starts over: .*other parameters, data or options/)
    expect(other.modified).toBe(true)
  })
})
