import { expect, test } from 'vitest'
import type { Model } from '../../../src/engine/ir/model.ts'
import type { Tensor } from '../../../src/engine/ir/tensor.ts'
import { loadModel } from '../../../src/engine/onnx/index.ts'
import { ocrModels } from '../../support/models.ts'
import {
  applyPass,
  cosine,
  countOps,
  datasetOf,
  floats,
  noise,
  numbers,
  optimizedByRuntime,
  runModel,
} from './support.ts'

/** With 7-bit weights, so that no sum saturates whatever the CPU. */
async function quantizeOn(model: Model, images: Tensor) {
  const calibration = await datasetOf({ x: images })
  try {
    return await applyPass('quantize.static', model, { reduceRange: 'always' }, { calibration })
  } finally {
    await calibration.close()
  }
}

test.each([
  ['cls', [8, 3, 48, 96], 42, 1, 0.97],
  ['rec', [4, 3, 48, 96], 24, 9, 0.95],
  ['det', [2, 3, 96, 96], 48, 0, undefined],
] as const)(
  'PP-OCR %s: what can be is int8, the depthwise Convs stay, and outputs are finite',
  async (name, dims, convs, products, close) => {
    const original = await loadModel(ocrModels[name])
    const images = floats(dims, (index) => noise(index))
    const simple = (await applyPass('simplify', original)).model
    const { model } = await quantizeOn(simple, images)
    const optimized = countOps(await optimizedByRuntime(model))
    expect(optimized['QLinearConv']).toBe(convs)
    expect(
      (optimized['MatMulIntegerToFloat'] ?? 0) + (optimized['QGemm'] ?? 0) + (optimized['Gemm'] ?? 0),
    ).toBeGreaterThanOrEqual(products)
    const feeds = { x: floats([1, ...dims.slice(1)], (index) => noise(index)) }
    const [before, after] = [
      Object.values(await runModel(original, feeds))[0],
      Object.values(await runModel(model, feeds, {}))[0],
    ]
    expect(numbers(after).every(Number.isFinite)).toBe(true)
    if (close !== undefined) expect(cosine(numbers(before), numbers(after))).toBeGreaterThan(close)
  },
)
