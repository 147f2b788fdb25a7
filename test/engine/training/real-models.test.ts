import { expect, test } from 'vitest'
import { loadModel } from '../../../src/engine/onnx/index.ts'
import type { Tensor } from '../../../src/engine/ir/tensor.ts'
import type { LossOptions, TrainOptions } from '../../../src/engine/training/index.ts'
import { ocrModels } from '../../support/models.ts'
import { floats, ints, memoryDataset, noise, run } from './support.ts'

const cycle = (dims: readonly number[], classes: number) => {
  const count = dims.reduce((product, dim) => product * dim, 1)
  return Array.from({ length: count }, (_, index) => (index * 7) % classes)
}

const cases: [string, keyof typeof ocrModels, readonly number[], LossOptions, Tensor][] = [
  ['detector', 'det', [2, 3, 64, 64], { kind: 'binary-cross-entropy' }, floats([2, 1, 64, 64], cycle([2, 64, 64], 2))],
  ['recognizer', 'rec', [2, 3, 48, 64], { kind: 'cross-entropy', axis: -1 }, ints([2, 8], cycle([2, 8], 50))],
  ['classifier', 'cls', [2, 3, 48, 96], { kind: 'cross-entropy' }, ints([2], [0, 1])],
]

/**
 * Along ĝ, what is given as the gradient, the loss falls by g·ĝ for each unit of a step, along ĝ/‖ĝ‖ by g·ĝ/‖ĝ‖. That the square of
 * the second is the first says g·ĝ = ‖ĝ‖², which no ĝ of a wrong length does, and hardly one of a wrong direction.
 */
test.each(cases)('the gradient of the PP-OCR %s is what the loss does', { timeout: 60_000 }, async (...one) => {
  const [, name, dims, loss, labels] = one
  const model = await loadModel(ocrModels[name])
  const pixels = dims.reduce((product, dim) => product * dim, 1)
  const dataset = memoryDataset({ x: floats(dims, noise(pixels, 1)) }, labels)
  const twice = { model, dataset, loss, batch: 2, validationShare: 0, epochs: 2, optimizer: { kind: 'sgd' } } as const
  const fall = async (options: Partial<TrainOptions>) => {
    const { losses } = await run({ ...twice, ...options })
    return losses[0]! - losses[1]!
  }
  const slope = (await fall({ learningRate: 0.01, clipNorm: 1e-3 })) / 1e-5
  const rate = 1e-5 / slope
  const square = (await fall({ learningRate: rate, clipNorm: 1e9 })) / rate
  // The loss bends by about 2 % on the way.
  expect(slope ** 2 / square).toBeCloseTo(1, 1)
})
