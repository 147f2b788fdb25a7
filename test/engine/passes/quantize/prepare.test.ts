import { expect, test } from 'vitest'
import type { Model } from '../../../../src/engine/ir/model.ts'
import type { Tensor } from '../../../../src/engine/ir/tensor.ts'
import { cloneModel } from '../../../../src/engine/ir/clone.ts'
import { equalizeLayers } from '../../../../src/engine/passes/quantize/equalize.ts'
import { smoothActivations } from '../../../../src/engine/passes/quantize/smooth.ts'
import { decodedModel, type ModelSpec } from '../../../support/models.ts'
import { plainSession, withSession } from '../../../../src/engine/passes/run-model.ts'
import { countOps, createContext, datasetOf, expectSame, floats, noise, type NodeSpec } from '../support.ts'
import { imageModel, images, quantize, signalToNoise } from './support.ts'

/** Channels of the first layer of sizes 1 to 256: the hard case, since the activation between has one scale. */
const unevenSizes = (index: number, inner: number) => 4 ** (Math.floor(index / inner) % 5)

const uneven = {
  w: floats([8, 4, 3, 3], (index) => noise(index, 2) * unevenSizes(index, 36)),
  b: floats([8], (index) => noise(index, 3) * unevenSizes(index, 1)),
  d: floats([8, 1, 3, 3], (index) => noise(index, 4) / unevenSizes(index, 9)),
  v: floats([6, 8, 1, 1], (index) => noise(index, 5)),
  v2: floats([6, 8, 1, 1], (index) => noise(index, 5) / unevenSizes(index, 1)),
}

const convs: NodeSpec[] = [
  ['Conv', ['x', 'w', 'b'], ['c']],
  ['Relu', ['c'], ['r']],
  ['MaxPool', ['r'], ['p'], { kernel_shape: [2, 2] }],
  ['Conv', ['p', 'v2'], ['y']],
]

test('equalization changes nothing in float, and makes uneven channels lose far less in integers', async () => {
  const original = imageModel(convs, uneven)
  const equal = cloneModel(original)
  expect(equalizeLayers(equal)).toBe(1)
  await expectSame(original, equal, { x: images })
  const options = { perChannel: false }
  const plain = await quantize(original, options)
  const equalized = await quantize(original, { ...options, equalize: true })
  expect(equalized.notes.map(({ reason }) => reason)).toContain('channels of 1 pairs of layers were equalized')
  const gain = (await signalToNoise(original, equalized.model)) - (await signalToNoise(original, plain.model))
  expect(gain).toBeGreaterThan(6)
})

test('equalization goes through a depthwise Conv on both its sides, and leaves shared weights of others alone', async () => {
  const original = imageModel(
    [
      ['Conv', ['x', 'w', 'b'], ['c']],
      ['Relu', ['c'], ['r']],
      ['Conv', ['r', 'd'], ['e'], { group: 8, pads: [1, 1, 1, 1] }],
      ['LeakyRelu', ['e'], ['l'], { alpha: 0.1 }],
      ['Conv', ['l', 'v'], ['s']],
      ['Conv', ['r2', 'w'], ['u']],
      ['Conv', ['u', 'v'], ['t']],
      ['Add', ['s', 't'], ['y']],
      ['Tanh', ['x'], ['r2']],
    ].toSorted(([a], [b]) => Number(b === 'Tanh') - Number(a === 'Tanh')) as NodeSpec[],
    uneven,
  )
  const equal = cloneModel(original)
  expect(equalizeLayers(equal)).toBe(3)
  await expectSame(original, equal, { x: images })
})

test.each<[string, NodeSpec[]]>([
  [
    'a sigmoid',
    [
      ['Conv', ['x', 'w', 'b'], ['c']],
      ['Sigmoid', ['c'], ['r']],
      ['Conv', ['r', 'v'], ['y']],
    ],
  ],
  [
    'a Clip at 6',
    [
      ['Conv', ['x', 'w', 'b'], ['c']],
      ['Clip', ['c', '', 'six'], ['r']],
      ['Conv', ['r', 'v'], ['y']],
    ],
  ],
  [
    'a second reader',
    [
      ['Conv', ['x', 'w', 'b'], ['c']],
      ['Conv', ['c', 'v'], ['m']],
      ['Conv', ['c', 'v'], ['n']],
      ['Add', ['m', 'n'], ['y']],
    ],
  ],
  [
    'a Flatten',
    [
      ['Conv', ['x', 'w', 'b'], ['c']],
      ['Flatten', ['c'], ['f']],
      ['Gemm', ['f', 'g'], ['y']],
    ],
  ],
])('nothing is equalized over %s', async (_what, nodes) => {
  const six = floats([], [6])
  expect(equalizeLayers(imageModel(nodes, { ...uneven, six, g: floats([128, 3], () => 1) }))).toBe(0)
})

test('bias correction takes back a shift of the mean', async () => {
  // Weights that all round the same way, on inputs with a mean: the error of a channel is nearly constant.
  const shifted = floats([16, 4, 6, 6], (index) => 3 + noise(index))
  const w = floats([8, 4, 3, 3], (index) => (index % 36 === 0 ? 1 : 0.0117 + 0.0005 * noise(index)))
  const original = imageModel(
    [
      ['Conv', ['x', 'w'], ['c'], {}, 'conv'],
      ['Relu', ['c'], ['y']],
    ],
    { w },
  )
  const plain = await quantize(original, { weights: 'int4' }, shifted)
  const corrected = await quantize(original, { weights: 'int4', correctBias: true }, shifted)
  expect(corrected.notes.map(({ reason }) => reason)).toContain('biases of 1 nodes were corrected')
  const before = await signalToNoise(original, plain.model, shifted)
  expect(await signalToNoise(original, corrected.model, shifted)).toBeGreaterThan(before + 10)
})

test('bias correction tells nodes without names apart', async () => {
  const original = imageModel(convs, uneven)
  for (const node of original.graph.nodes) node.name = ''
  const plain = await quantize(original, { weights: 'int4' })
  const corrected = await quantize(original, { weights: 'int4', correctBias: true })
  expect(corrected.notes.map(({ reason }) => reason)).toContain('biases of 2 nodes were corrected')
  const before = await signalToNoise(original, plain.model)
  expect(await signalToNoise(original, corrected.model)).toBeGreaterThan(before - 1)
})

test('bias correction leaves weights that quantize exactly as they are', async () => {
  const w = floats([8, 4, 1, 1], (index) => [127, -3, 0, 64][index % 4] as number)
  const original = imageModel([['Conv', ['x', 'w', 'b'], ['y']]], { w, b: uneven.b })
  const options = { reduceRange: 'never', ops: ['Conv'] }
  const plain = await quantize(original, options)
  const corrected = await quantize(original, { ...options, correctBias: true })
  expect(await signalToNoise(plain.model, corrected.model)).toBeGreaterThan(100)
})

const rows = floats([16, 5, 12], (index) => noise(index) * (index % 12 === 3 ? 200 : 1) + (index % 12 === 3 ? 50 : 0))

function rowModel(nodes: NodeSpec[], initializers: NonNullable<ModelSpec['initializers']> = {}): Model {
  return decodedModel({
    inputs: { x: ['float32', ['n', 5, 12]] },
    outputs: { y: ['float32'] },
    nodes,
    initializers: {
      gamma: floats([12], (index) => (index === 3 ? 60 : 1 + 0.1 * noise(index))),
      beta: floats([12], (index) => noise(index, 2)),
      q: floats([12, 7], (index) => noise(index, 3)),
      k: floats([12, 7], (index) => noise(index, 4)),
      two: floats([], [2]),
      ...initializers,
    },
    opset: 17,
  })
}

async function smooth(original: Model, x: Tensor, alpha: number | 'auto') {
  const model = cloneModel(original)
  const dataset = await datasetOf({ x })
  const context = createContext()
  const runs = { samples: 100, batch: 4, signal: context.signal }
  const counts = await smoothActivations(
    model,
    () => true,
    alpha,
    dataset,
    runs,
    (each, use) => withSession(context, each, plainSession, use),
  )
  await dataset.close()
  return { model, ...counts }
}

const products: NodeSpec[] = [
  ['MatMul', ['m', 'q'], ['a']],
  ['MatMul', ['m', 'k'], ['b']],
  ['Mul', ['a', 'b'], ['y']],
]

test.each<[string, NodeSpec[], number]>([
  ['a LayerNormalization', [['LayerNormalization', ['x', 'gamma', 'beta'], ['m']], ...products], 1],
  ['an affine', [['Mul', ['x', 'gamma'], ['s']], ['Add', ['s', 'beta'], ['m']], ...products], 1],
  ['a product', [['MatMul', ['x', 'square'], ['s']], ['Relu', ['s'], ['m']], ...products], 2],
])('smoothing folds into %s without a node more, and changes nothing in float', async (_what, nodes, smoothed) => {
  const original = rowModel(nodes, {
    square: floats([12, 12], (index) => noise(index, 6) * (index % 12 === 3 ? 40 : 1)),
  })
  const result = await smooth(original, rows, 'auto')
  expect(result.smoothed).toBe(smoothed)
  expect(result.folded).toBe(1)
  await expectSame(original, result.model, { x: rows })
})

test('smoothing adds a Mul where others read the value too, and changes nothing in float', async () => {
  const original = rowModel([
    ['Identity', ['x'], ['m']],
    ...products.slice(0, 2),
    ['Mul', ['a', 'b'], ['c']],
    ['ReduceMean', ['m'], ['e']],
    ['Add', ['c', 'e'], ['y']],
  ])
  const { model, smoothed, folded } = await smooth(original, rows, 0.5)
  expect([smoothed, folded]).toEqual([1, 0])
  expect(countOps(model)['Mul']).toBe(2)
  await expectSame(original, model, { x: rows })
})

test.each([0.5, 'auto'] as const)(
  'SmoothQuant with alpha %s makes an outlier channel lose less',
  async (smoothQuant) => {
    const original = rowModel([
      ['LayerNormalization', ['x', 'gamma', 'beta'], ['m']],
      ['MatMul', ['m', 'q'], ['y']],
    ])
    const plain = await quantize(original, {}, rows)
    const smoothed = await quantize(original, { smoothQuant }, rows)
    const gain =
      (await signalToNoise(original, smoothed.model, rows)) - (await signalToNoise(original, plain.model, rows))
    expect(gain).toBeGreaterThan(3)
  },
)
