import { statSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import type { Model } from '../../../../src/engine/ir/model.ts'
import { encodeModel, loadModel } from '../../../../src/engine/onnx/index.ts'
import { decodedModel, ocrModels } from '../../../support/models.ts'
import { applyPass, countOps, datasetOf, floats, noise, numbers, optimizedByRuntime, runModel } from '../support.ts'
import { imageModel, images, quantize, weights } from './support.ts'

// Cases that ONNX Runtime's own quantization tools (1.30) get wrong, one test each.

async function quantizeOcr(name: keyof typeof ocrModels, dims: readonly number[], options: Record<string, unknown>) {
  const calibration = await datasetOf({ x: floats(dims, (index) => noise(index)) })
  try {
    // As it was uploaded: no pass before, and nothing says what its symbolic dims are.
    return await applyPass('quantize.static', await loadModel(ocrModels[name]), options, { calibration })
  } finally {
    await calibration.close()
  }
}

const conversions = (model: Model) => {
  const { QuantizeLinear = 0, DequantizeLinear = 0 } = countOps(model)
  return QuantizeLinear + DequantizeLinear
}

test('a Gemm bias of dims [1, N] with weights per channel: they raise an error, we give the integers of [N]', async () => {
  const rows = floats([16, 12], (index) => noise(index))
  const outputs = await Promise.all(
    [[1, 7], [7]].map(async (dims) => {
      const original = decodedModel({
        inputs: { x: ['float32', ['n', 12]] },
        outputs: { y: ['float32'] },
        initializers: { w: floats([12, 7], (index) => noise(index, 2)), b: floats(dims, (index) => noise(index, 3)) },
        nodes: [['Gemm', ['x', 'w', 'b'], ['y']]],
      })
      const { model } = await quantize(original, {}, rows)
      expect(countOps(await optimizedByRuntime(model))).toMatchObject({ QGemm: 1 })
      return numbers((await runModel(model, { x: rows }, { optimizationLevel: 'all' }))['y'])
    }),
  )
  expect(outputs[0]).toEqual(outputs[1])
})

test('weights in Constant nodes: their file grows, ours shrinks, and no weight is quantized at run time', async () => {
  const { model } = await quantizeOcr('cls', [4, 3, 48, 96], {})
  expect(encodeModel(model).byteLength).toBeLessThan(0.6 * statSync(ocrModels.cls).size)
  expect(countOps(model)['Constant'] ?? 0).toBe(0)
  for (const { opType, inputs } of model.graph.nodes) {
    if (opType === 'QuantizeLinear') expect(inputs[0]?.initializer).toBeUndefined()
  }
})

test('preparing without shape inference: theirs throws its work away and leaves 10.9 MB, ours is under 3.5 MB', async () => {
  const { model } = await quantizeOcr('rec', [2, 3, 48, 64], {})
  expect(encodeModel(model).byteLength).toBeLessThan(3.5e6)
  expect(countOps(await optimizedByRuntime(model))['QLinearConv']).toBeGreaterThan(20)
})

describe('PP-OCR det', () => {
  const dims = [1, 3, 64, 64]

  test('symbolic dims all over: their shape inference gives up, ours goes on', async () => {
    const { model } = await quantizeOcr('det', dims, {})
    const optimized = await optimizedByRuntime(model)
    expect(countOps(optimized)['QLinearConv']).toBeGreaterThan(40)
  })

  test('int8 activations: theirs leave 691 conversions in the graph that runs, ours as few as uint8', async () => {
    const simple = (await applyPass('simplify', await loadModel(ocrModels.det))).model
    const calibration = await datasetOf({ x: floats(dims, (index) => noise(index)) })
    const left: number[] = []
    for (const activations of ['uint8', 'int8']) {
      const options = { activations, symmetricActivations: 'never' }
      const { model } = await applyPass('quantize.static', simple, options, { calibration })
      left.push(conversions(await optimizedByRuntime(model)))
    }
    await calibration.close()
    expect(left[1]).toBe(left[0])
    expect(left[1]).toBeLessThan(200)
  })
})

test('int8 activations stay int8 where the host has kernels for them', async () => {
  const original = imageModel([['Conv', ['x', 'w'], ['y']]], { w: weights([8, 4, 3, 3], 2) })
  const calibration = await datasetOf({ x: images })
  const target = { device: 'cpu', isa: ['asimd', 'asimddp'] }
  const { model } = await applyPass('quantize.static', original, { activations: 'int8' }, { calibration, target })
  await calibration.close()
  const pairs = [...model.graph.nodes].filter(({ opType }) => opType === 'QuantizeLinear')
  expect(pairs.map(({ inputs }) => inputs[2]?.initializer?.dtype)).toEqual(['int8', 'int8'])
})

test('int8 values that several nodes read run on integers all the way: the rewrite of the runtime leaves such a graph in float', async () => {
  const original = imageModel(
    [
      ['Conv', ['x', 'w'], ['a']],
      ['Conv', ['a', 'v'], ['b']],
      ['Add', ['a', 'b'], ['s']],
      ['Concat', ['s', 'a'], ['k'], { axis: 2 }],
      ['Conv', ['k', 'v'], ['y']],
    ],
    { w: weights([8, 4, 3, 3], 2), v: weights([8, 8, 1, 1], 4) },
  )
  const { model } = await quantize(original, { activations: 'int8' })
  expect(countOps(await optimizedByRuntime(model))).toEqual({
    QuantizeLinear: 1,
    QLinearConv: 3,
    QLinearAdd: 1,
    QLinearConcat: 1,
    DequantizeLinear: 1,
  })
})

const outlier = floats([64, 4, 6, 6], (index) => (index === 3 ? 40 : noise(index) ** 3))

function scaleOfInput(model: Model): number {
  const pair = [...model.graph.nodes].find(
    ({ opType, inputs }) => opType === 'QuantizeLinear' && inputs[0]?.name === 'x',
  )
  return numbers(pair?.inputs[1]?.initializer)[0] as number
}

const oneConv = () => imageModel([['Conv', ['x', 'w'], ['y']]], { w: weights([8, 4, 3, 3], 2) })

test('entropy with default options: theirs is the extremes under another name, ours cuts an outlier off', async () => {
  const plain = await quantize(oneConv(), {}, outlier)
  const entropy = await quantize(oneConv(), { calibration: { method: 'entropy' } }, outlier)
  expect(scaleOfInput(plain.model)).toBeGreaterThan(40 / 256)
  expect(scaleOfInput(entropy.model)).toBeLessThan(0.5 * scaleOfInput(plain.model))
})

test.each([1, 5, 8, 64])(
  'samples in runs of %i: theirs drop all but the last window, ours see every one',
  async (batch) => {
    const { model } = await quantize(oneConv(), { calibration: { batch } }, outlier)
    const values = numbers(outlier)
    const [low, high] = [Math.min(...values), Math.max(...values)]
    expect(scaleOfInput(model)).toBe(Math.fround((high - low) / 255))
  },
)
