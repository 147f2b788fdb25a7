import path from 'node:path'
import { expect, test } from 'vitest'
import { openDataset } from '../../../src/engine/data/index.ts'
import { tensorOf, viewOf } from '../../../src/engine/ir/tensor.ts'
import { loadModel } from '../../../src/engine/onnx/index.ts'
import { train } from '../../../src/engine/training/index.ts'
import { noise, runtime, session } from './support.ts'

const examples = path.resolve(import.meta.dirname, '../../../examples/digits')

/** The digit CNN with noise nearly as strong as its weights on all of them: it guesses. */
async function spoiltDigits() {
  const model = await loadModel(path.join(examples, 'digits.onnx'))
  for (const value of model.graph.initializers) {
    const { name, initializer } = value
    if (initializer === undefined || !name.endsWith('.weight')) continue
    const weights = viewOf(initializer, 'float32')
    const deviation = Math.sqrt(weights.reduce((sum, weight) => sum + weight * weight, 0) / weights.length)
    const added = noise(weights.length, weights.length, deviation)
    const spoilt = weights.map((weight, index) => weight + 0.8 * (added[index] ?? 0))
    model.graph.setInitializer(value, tensorOf('float32', initializer.dims, new Float32Array(spoilt)))
  }
  return model
}

test('the digit CNN learns to read digits it has not seen', { timeout: 120_000 }, async () => {
  const dataset = await openDataset(path.join(examples, 'evaluation.npz'))
  try {
    const { history, parameters, model } = await train({
      model: await spoiltDigits(),
      dataset,
      runtime,
      session,
      loss: { kind: 'cross-entropy' },
      optimizer: { kind: 'adamw', weightDecay: 1e-4 },
      learningRate: 1e-3,
      batch: 16,
      epochs: 1,
      maxSteps: 36,
    })
    const [before, after] = history
    expect(before!.metric).toBeLessThan(0.3)
    expect(after!.metric).toBeGreaterThan(0.7)
    // Five convolutions, five norms of scale and bias, the head; statistics stay.
    expect(parameters).toHaveLength(17)
    expect(parameters.map(({ name }) => name).filter((name) => /\.(mean|var)$/.test(name))).toEqual([])
    expect([...model.graph.initializers].map(({ name }) => name)).toContain('norm1.mean')
  } finally {
    await dataset.close()
  }
})
