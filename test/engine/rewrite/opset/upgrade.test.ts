import { expect, test } from 'vitest'
import { cloneModel } from '../../../../src/engine/ir/clone.ts'
import type { Model } from '../../../../src/engine/ir/model.ts'
import { loadModel } from '../../../../src/engine/onnx/index.ts'
import { upgradeOpset } from '../../../../src/engine/rewrite/opset/upgrade.ts'
import { liftConstants } from '../../../../src/engine/rewrite/lift-constants.ts'
import { verify } from '../../../../src/engine/ops/index.ts'
import { decodedModel, ocrModels, type ModelSpec } from '../../../support/models.ts'
import { countOps, expectSame, floats, int64s, noise, type NodeSpec } from '../../passes/support.ts'

const x = floats([2, 3, 4], (index) => 3 * noise(index))

function modelOf(opset: number, nodes: NodeSpec[], extra: Partial<ModelSpec> = {}): Model {
  return decodedModel({ opset, inputs: { x: ['float32', ['n', 3, 4]] }, outputs: { y: ['float32'] }, nodes, ...extra })
}

function upgrade(original: Model): { model: Model; reason: string | undefined } {
  const model = cloneModel(original)
  const reason = upgradeOpset(model)
  return { model, reason }
}

const image = { x: floats([1, 2, 3, 4], (index) => noise(index)) }
const imageInput: Partial<ModelSpec> = { inputs: { x: ['float32', ['n', 2, 3, 4]] } }

test.each<[string, number, NodeSpec[], Partial<ModelSpec>?, Record<string, unknown>?]>([
  ['Clip with both bounds', 9, [['Clip', ['x'], ['y'], { min: -1, max: { float: 1 } }]]],
  ['Clip with one bound', 10, [['Clip', ['x'], ['y'], { max: 0.5 }]]],
  ['Slice', 9, [['Slice', ['x'], ['y'], { starts: [1, 0], ends: [9223372036854775807n, -1], axes: [1, 2] }]]],
  ['Slice without axes', 9, [['Slice', ['x'], ['y'], { starts: [0, 1], ends: [1, 3] }]]],
  [
    'Squeeze and Unsqueeze',
    11,
    [
      ['Unsqueeze', ['x'], ['u'], { axes: [0, 4] }],
      ['Squeeze', ['u'], ['y'], { axes: [0] }],
    ],
  ],
  [
    'Squeeze of every axis of size 1',
    11,
    [
      ['Unsqueeze', ['x'], ['u'], { axes: [0] }],
      ['Squeeze', ['u'], ['y']],
    ],
  ],
  ['ReduceSum', 11, [['ReduceSum', ['x'], ['y'], { axes: [1], keepdims: 0 }]]],
  ['ReduceSum of everything', 9, [['ReduceSum', ['x'], ['y']]]],
  ['Split', 11, [['Split', ['x'], ['a', 'y'], { axis: 2, split: [1, 3] }]]],
  ['Pad with a value', 9, [['Pad', ['x'], ['y'], { pads: [0, 1, 0, 0, 0, 2], value: 0.5 }]]],
  ['Pad that reflects', 9, [['Pad', ['x'], ['y'], { mode: 'reflect', pads: [0, 0, 1, 0, 0, 2] }]]],
  ['TopK', 9, [['TopK', ['x'], ['y', 'i'], { k: 2, axis: 2 }]]],
  ['Dropout', 10, [['Dropout', ['x'], ['y'], { ratio: 0.3 }]]],
  ['Softmax over the last axis', 9, [['Softmax', ['x'], ['y'], { axis: 2 }]]],
  ['Softmax over the axes from 1, its default', 9, [['Softmax', ['x'], ['y']]]],
  ['Softmax over everything', 11, [['Softmax', ['x'], ['y'], { axis: 0 }]]],
  [
    'LogSoftmax over the axes from 1',
    11,
    [
      ['Neg', ['x'], ['m']],
      ['LogSoftmax', ['m'], ['y'], { axis: 1 }],
    ],
  ],
  [
    'Upsample with its scales inside',
    7,
    [['Upsample', ['x'], ['y'], { mode: 'nearest', scales: { floats: [1, 1, 2, 3] } }]],
    imageInput,
    image,
  ],
  [
    'Upsample with its scales as input',
    9,
    [['Upsample', ['x', 's'], ['y'], { mode: 'linear' }]],
    { ...imageInput, initializers: { s: floats([4], [1, 1, 2, 2]) } },
    image,
  ],
  [
    'Resize before opset 11',
    10,
    [['Resize', ['x', 's'], ['y'], { mode: 'nearest' }]],
    { ...imageInput, initializers: { s: floats([4], [1, 1, 2, 2]) } },
    image,
  ],
  [
    'Resize of opset 11',
    11,
    [['Resize', ['x', 'r', 's'], ['y'], { mode: 'nearest' }]],
    { ...imageInput, initializers: { r: floats([0], []), s: floats([4], [1, 1, 2, 2]) } },
    image,
  ],
])('%s means the same in opset 13', async (_what, opset, nodes, extra, feeds) => {
  const original = modelOf(opset, nodes, extra)
  const { model, reason } = upgrade(original)
  expect(reason).toBeUndefined()
  expect(model.opsetImports.get('')).toBe(13)
  expect(verify(model)).toEqual([])
  await expectSame(original, model, (feeds ?? { x }) as never)
})

const ones = { one: floats([2], [1, 1]), zero: floats([2], [0, 0]) }

test.each<[string, number, number, NodeSpec[], Partial<ModelSpec>?, Record<string, unknown>?]>([
  ['ReduceMean with axes', 13, 18, [['ReduceMean', ['x'], ['y'], { axes: [-1], keepdims: 0 }]]],
  ['ReduceMax of everything', 13, 18, [['ReduceMax', ['x'], ['y']]]],
  ['ReduceL2', 11, 22, [['ReduceL2', ['x'], ['y'], { axes: [1, 2] }]]],
  ['Split in equal parts', 13, 18, [['Split', ['x'], ['y', 'b'], { axis: 2 }]]],
  ['Split in given parts', 11, 22, [['Split', ['x'], ['a', 'y'], { axis: 2, split: [1, 3] }]]],
  [
    'Scatter',
    9,
    13,
    [['Scatter', ['x', 'i', 'u'], ['y'], { axis: 2 }]],
    { initializers: { i: int64s([1, 1, 1], [2]), u: floats([1, 1, 1], [9]) } },
  ],
  [
    'BatchNormalization',
    7,
    22,
    [['BatchNormalization', ['x', 'one', 'zero', 'zero', 'one'], ['y']]],
    { ...imageInput, initializers: ones },
    image,
  ],
  [
    'GridSample',
    16,
    20,
    [['GridSample', ['x', 'g'], ['y'], { mode: 'bilinear', padding_mode: 'border' }]],
    { ...imageInput, initializers: { g: floats([1, 2, 2, 2], (index) => noise(index, 5)) } },
    image,
  ],
  [
    'GridSample with its default',
    16,
    22,
    [['GridSample', ['x', 'g'], ['y']]],
    { ...imageInput, initializers: { g: floats([1, 2, 2, 2], (index) => noise(index, 5)) } },
    image,
  ],
  [
    'DFT',
    17,
    20,
    [['DFT', ['s'], ['y'], { axis: 1 }]],
    { inputs: { s: ['float32', [1, 8, 1]] } },
    { s: floats([1, 8, 1], (index) => noise(index)) },
  ],
  [
    'RoiAlign',
    13,
    16,
    [['RoiAlign', ['x', 'r', 'b'], ['y'], { output_height: 2, output_width: 2 }]],
    { ...imageInput, initializers: { r: floats([1, 4], [0, 0, 2, 3]), b: int64s([1], [0]) } },
    image,
  ],
])('%s of opset %i means the same in %i', async (_what, opset, target, nodes, extra, feeds) => {
  const original = modelOf(opset, nodes, extra)
  const model = cloneModel(original)
  expect(upgradeOpset(model, target)).toBeUndefined()
  expect(model.opsetImports.get('')).toBe(target)
  expect(verify(model)).toEqual([])
  await expectSame(original, model, (feeds ?? { x }) as never)
})

test('nothing is upgraded further than there are adapters', () => {
  expect(upgradeOpset(modelOf(17, [['Relu', ['x'], ['y']]]), 23)).toBe('there are no adapters beyond opset 22')
})

test.each([
  ['cls', [1, 3, 48, 96]],
  ['rec', [1, 3, 48, 64]],
  ['det', [1, 3, 64, 64]],
] as const)('PP-OCR %s means the same in opset 22', async (name, dims) => {
  const original = await loadModel(ocrModels[name])
  liftConstants(original)
  const model = cloneModel(original)
  expect(upgradeOpset(model, 22)).toBeUndefined()
  await expectSame(original, model, { x: floats(dims, (index) => noise(index)) })
})

test('a Softmax over several axes is flattened, one over the last is not', () => {
  expect(countOps(upgrade(modelOf(11, [['Softmax', ['x'], ['y'], { axis: 1 }]])).model)).toEqual({
    Shape: 1,
    Flatten: 1,
    Softmax: 1,
    Reshape: 1,
  })
  expect(countOps(upgrade(modelOf(11, [['Softmax', ['x'], ['y'], { axis: 2 }]])).model)).toEqual({ Softmax: 1 })
})

test.each<[string, number, NodeSpec[], Partial<ModelSpec>, RegExp]>([
  ['opset 6', 6, [['Relu', ['x'], ['y']]], {}, /adapters start at 7/],
  [
    'a Resize that shrinks',
    10,
    [['Resize', ['x', 's'], ['y'], { mode: 'nearest' }]],
    { ...imageInput, initializers: { s: floats([4], [1, 1, 0.5, 0.5]) } },
    /when it shrinks/,
  ],
  [
    'a Resize with scales that are computed',
    10,
    [['Resize', ['x', 's'], ['y'], { mode: 'nearest' }]],
    { inputs: { x: ['float32', [1, 2, 3, 4]], s: ['float32', [4]] } },
    /when it shrinks/,
  ],
])('%s is declined with its reason', (_what, opset, nodes, extra, reason) => {
  expect(upgrade(modelOf(opset, nodes, extra)).reason).toMatch(reason)
})

test('a model of opset 13 or newer stays as it is', () => {
  const model = modelOf(17, [['ReduceSum', ['x', 'a'], ['y']]], { initializers: { a: int64s([1], [1]) } })
  expect(upgrade(model)).toMatchObject({ reason: undefined })
  expect(model.opsetImports.get('')).toBe(17)
})

test.each([
  ['cls', [1, 3, 48, 96]],
  ['rec', [1, 3, 48, 64]],
  ['det', [1, 3, 64, 64]],
] as const)('PP-OCR %s means the same in opset 13', async (name, dims) => {
  const original = await loadModel(ocrModels[name])
  liftConstants(original)
  const { model, reason } = upgrade(original)
  expect(reason).toBeUndefined()
  await expectSame(original, model, { x: floats(dims, (index) => noise(index)) })
})
