import { describe, expect, test } from 'vitest'
import type { TrainOptions } from '../../../src/engine/training/index.ts'
import type { ModelSpec } from '../../support/models.ts'
import { accuracyOn, floats, memoryDataset, mlp, noise, regressionWeights, run, weightsOf } from './support.ts'

type NodeSpec = ModelSpec['nodes'][number]

describe('learning', () => {
  test.each<TrainOptions['optimizer']>([
    { kind: 'sgd', momentum: 0.9 },
    { kind: 'adam' },
    { kind: 'adamw', weightDecay: 0.01 },
  ])('a random net learns from labels with $kind, on points it has not seen', async (optimizer) => {
    const original = mlp()
    expect(await accuracyOn(original)).toBeLessThan(0.6)
    const { model, history, best, metric } = await run({ model: original, optimizer, epochs: 8, learningRate: 0.02 })
    expect(await accuracyOn(model)).toBeGreaterThan(0.95)
    expect(metric).toBe('accuracy')
    expect(history.map(({ epoch }) => epoch)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8])
    expect(best.metric).toBeGreaterThan(0.9)
    expect(await accuracyOn(original)).toBeLessThan(0.6)
  })

  test('a regression learns the numbers of its labels', async () => {
    const x = noise(200 * 8, 3)
    const y = Array.from({ length: 200 }, (_, row) => x[row * 8]! - 2 * x[row * 8 + 3]!)
    const model = mlp({ outputs: { logits: ['float32', ['N', 1]] }, initializers: regressionWeights() })
    const dataset = memoryDataset({ x: floats([200, 8], x) }, floats([200], y))
    const { history, metric } = await run({ model, dataset, loss: { kind: 'mse' }, epochs: 30, learningRate: 0.02 })
    expect(metric).toBeUndefined()
    expect(history[0]!.validationLoss).toBeGreaterThan(2)
    expect(history.at(-1)!.validationLoss).toBeLessThan(0.3)
  })

  test('only selected parameters move', async () => {
    const before = weightsOf(mlp())
    const after = weightsOf((await run({ parameters: { include: ['w*'], exclude: ['w1'] } })).model)
    expect(after['w1']).toEqual(before['w1'])
    expect(after['b1']).toEqual(before['b1'])
    expect(after['b2']).toEqual(before['b2'])
    expect(after['w2']).not.toEqual(before['w2'])
  })

  test('masked weights are exactly zero afterwards, the others learn', async () => {
    const mask = Array.from({ length: 128 }, (_, index) => (index % 2 === 0 ? 0 : 1))
    const { model } = await run({ masks: new Map([['w1', floats([8, 16], mask)]]), epochs: 6, ema: 0.5 })
    const weights = weightsOf(model)['w1']!
    expect(weights.filter((value, index) => (mask[index] === 0) !== (value === 0))).toEqual([])
    expect(await accuracyOn(model)).toBeGreaterThan(0.9)
  })

  test('gradients of several runs make the update that one large run makes', async () => {
    const whole = await run({ batch: 24, validationShare: 0, epochs: 2 })
    const parts = await run({ batch: 8, accumulate: 3, validationShare: 0, epochs: 2 })
    expect(parts.losses).toHaveLength(whole.losses.length)
    parts.losses.forEach((loss, index) => expect(loss).toBeCloseTo(whole.losses[index]!, 4))
  })

  test('a fixed batch is met by several runs an update', async () => {
    const model = mlp({ inputs: { x: ['float32', [4, 8]] }, outputs: { logits: ['float32', [4, 4]] } })
    const fixed = await run({ model, batch: 16, validationShare: 0, epochs: 2 })
    const free = await run({ batch: 16, validationShare: 0, epochs: 2 })
    fixed.losses.forEach((loss, index) => expect(loss).toBeCloseTo(free.losses[index]!, 4))
    expect(fixed.notes).toContain('the model takes 4 samples a run, so an update is made of 4 runs')
  })

  test('a net that ends in Softmax is trained on its logits and keeps the Softmax', async () => {
    const base = mlp({
      outputs: { p: ['float32', ['N', 4]] },
      nodes: [
        ['Gemm', ['x', 'w1', 'b1'], ['h']],
        ['Relu', ['h'], ['r']],
        ['Gemm', ['r', 'w2', 'b2'], ['logits']],
        ['Softmax', ['logits'], ['p'], { axis: 1 }],
      ],
    })
    const [plain, soft] = [await run(), await run({ model: base })]
    expect(soft.losses).toEqual(plain.losses)
    expect([...soft.model.graph.nodes].at(-1)!.opType).toBe('Softmax')
    expect(soft.notes.join()).toContain("the loss reads the logits 'logits' before the Softmax that gives 'p'")
  })

  test('an old model is trained in a newer opset and comes back in its own', async () => {
    const weights = new Map([...mlp().graph.initializers].map((value) => [value.name, value.initializer!]))
    const constantOf = (name: string): NodeSpec => ['Constant', [], [name], { value: weights.get(name)! }]
    const old = mlp({
      opset: 9,
      initializers: {},
      nodes: [
        ...['w1', 'b1', 'w2', 'b2'].map(constantOf),
        ['Gemm', ['x', 'w1', 'b1'], ['h']],
        ['Relu', ['h'], ['r']],
        ['Gemm', ['r', 'w2', 'b2'], ['logits']],
      ],
    })
    const { model, losses } = await run({ model: old })
    expect(losses).toEqual((await run()).losses)
    expect(model.opsetImports.get('')).toBe(9)
    expect(await accuracyOn(model)).toBeGreaterThan(0.7)
  })
})
