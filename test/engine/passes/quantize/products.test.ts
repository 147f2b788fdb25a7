import { expect, test } from 'vitest'
import { decodedModel, type ModelSpec } from '../../../support/models.ts'
import { countOps, floats, noise, optimizedByRuntime, type NodeSpec } from '../support.ts'
import { quantize, signalToNoise } from './support.ts'

const rows = floats([32, 24], (index) => noise(index))
const sequences = floats([8, 5, 24], (index) => noise(index))

const initializers = {
  w: floats([24, 10], (index) => noise(index, 2)),
  u: floats([24, 10], (index) => noise(index, 5)),
  v: floats([10, 6], (index) => noise(index, 3)),
  b: floats([10], (index) => noise(index, 4)),
  row: floats([1, 10], (index) => noise(index, 4)),
}

function modelOf(nodes: NodeSpec[], dims: (string | number)[] = ['n', 24], extra: ModelSpec['initializers'] = {}) {
  return decodedModel({
    inputs: { x: ['float32', dims] },
    outputs: { y: ['float32'] },
    initializers: { ...initializers, ...extra },
    nodes,
    opset: 21,
  })
}

const product: NodeSpec = ['MatMul', ['x', 'w'], ['m'], {}, 'layer']

test.each<[string, NodeSpec[], Record<string, number>]>([
  ['and a bias', [product, ['Add', ['m', 'b'], ['y']]], { QGemm: 1 }],
  ['and a bias before it', [product, ['Add', ['b', 'm'], ['y']]], { QGemm: 1 }],
  ['and a bias of two axes', [product, ['Add', ['m', 'row'], ['y']]], { QGemm: 1 }],
  [
    'and a bias, a Relu and another product',
    [product, ['Add', ['m', 'b'], ['a']], ['Relu', ['a'], ['r']], ['MatMul', ['r', 'v'], ['y']]],
    { QGemm: 1, MatMulIntegerToFloat: 1 },
  ],
  [
    'and another product added to it',
    [product, ['MatMul', ['x', 'u'], ['k'], {}, 'other'], ['Add', ['m', 'k'], ['y']]],
    { QGemm: 2, Add: 1 },
  ],
  [
    'whose result more than an Add reads',
    [product, ['Add', ['m', 'b'], ['a']], ['Mul', ['m', 'a'], ['y']]],
    { MatMulIntegerToFloat: 1, Add: 1 },
  ],
])('no weight of a product %s is left to become float at run time', async (_what, nodes, expected) => {
  const original = modelOf(nodes)
  const { model, notes } = await quantize(original, {}, rows)
  expect(notes.filter(({ action }) => action === 'done').map(({ node }) => node)).toContain('layer')
  expect(await signalToNoise(original, model, rows)).toBeGreaterThan(30)
  const counts = countOps(await optimizedByRuntime(model, 'all'))
  expect(counts).toMatchObject({ ...expected, QuantizeLinear: 1 })
  expect(counts['DequantizeLinear'] ?? 0).toBe(0)
  expect(counts['Gemm'] ?? 0).toBe(0)
  expect(model.graph.outputs.map(({ name }) => name)).toEqual(['y'])
})

test('a product of three axes keeps its Add, which the runtime does not join', async () => {
  const original = modelOf([product, ['Add', ['m', 'b'], ['y']]], ['n', 5, 24])
  const { model } = await quantize(original, {}, sequences)
  expect(countOps(model)).toMatchObject({ MatMul: 1, Add: 1 })
  expect(countOps(await optimizedByRuntime(model))).toMatchObject({
    MatMulIntegerToFloat: 1,
    Add: 1,
    QuantizeLinear: 1,
  })
})

test('names keep their meaning: an excluded product stays, an excluded Add stays outside of it', async () => {
  const nodes: NodeSpec[] = [product, ['Add', ['m', 'b'], ['a'], {}, 'plus'], ['MatMul', ['a', 'v'], ['y'], {}, 'last']]
  const whole = await quantize(modelOf(nodes), { exclude: ['layer'] }, rows)
  expect(countOps(whole.model)).toMatchObject({ MatMul: 2, Add: 1 })
  const sum = await quantize(modelOf(nodes), { exclude: ['plus'] }, rows)
  expect(countOps(sum.model)).toMatchObject({ Gemm: 1, Add: 1, MatMul: 1 })
  expect(countOps(await optimizedByRuntime(sum.model))).toMatchObject({ QGemm: 1, Add: 1, MatMulIntegerToFloat: 1 })
})

test('where Gemm is not among the ops, a product that would become one stays float and says so', async () => {
  const nodes: NodeSpec[] = [
    product,
    ['Add', ['m', 'b'], ['a']],
    ['Tanh', ['a'], ['t']],
    ['MatMul', ['t', 'v'], ['y'], {}, 'last'],
  ]
  const { model, notes } = await quantize(modelOf(nodes), { ops: ['MatMul'] }, rows)
  expect(notes.find(({ node }) => node === 'layer')).toMatchObject({
    action: 'skipped',
    reason: 'ONNX Runtime makes a Gemm of it and the Add after it, and ops has no Gemm',
  })
  expect(countOps(await optimizedByRuntime(model))).toMatchObject({ FusedGemm: 1, MatMulIntegerToFloat: 1 })
})

test('bias correction of a MatMul goes into the constant of the Add after it; without one the notes say so', async () => {
  // Weights that all round the same way, on inputs with a mean: the error of a channel is nearly constant.
  const shifted = floats([16, 5, 24], (index) => 3 + noise(index))
  const skewed = floats([24, 10], (index) => (index < 10 ? 1 : 0.0117 + 0.0005 * noise(index)))
  const original = modelOf(
    [
      ['MatMul', ['x', 's'], ['m'], {}, 'layer'],
      ['Add', ['m', 'b'], ['y']],
    ],
    ['n', 5, 24],
    { s: skewed },
  )
  const plain = await quantize(original, { weights: 'int4' }, shifted)
  const corrected = await quantize(original, { weights: 'int4', correctBias: true }, shifted)
  expect(corrected.notes.map(({ reason }) => reason)).toContain('biases of 1 nodes were corrected')
  const before = await signalToNoise(original, plain.model, shifted)
  expect(await signalToNoise(original, corrected.model, shifted)).toBeGreaterThan(before + 10)
  const bare = modelOf(
    [
      ['MatMul', ['x', 's'], ['m'], {}, 'layer'],
      ['Tanh', ['m'], ['y']],
    ],
    ['n', 5, 24],
    { s: skewed },
  )
  const left = await quantize(bare, { correctBias: true }, shifted)
  expect(left.notes.map(({ reason }) => reason)).toContain(
    'biases of 0 nodes were corrected; 1 matrix products have no Add of a constant after them to hold one',
  )
})

test('scores of attention, of two activations, run on integers between integers', async () => {
  const perm = { perm: [0, 2, 1] }
  const original = modelOf(
    [
      ['Conv', ['x', 'q'], ['c'], {}, 'first'],
      ['Transpose', ['c'], ['t'], perm],
      ['MatMul', ['c', 't'], ['s'], {}, 'scores'],
      ['Softmax', ['s'], ['p']],
      ['MatMul', ['p', 'c'], ['z'], {}, 'mix'],
      ['Conv', ['z', 'k'], ['y'], {}, 'last'],
    ],
    ['n', 5, 24],
    {
      q: floats([5, 5, 1], (index) => noise(index)),
      k: floats([3, 5, 1], (index) => noise(index, 7)),
    },
  )
  const { model, notes } = await quantize(original, { ops: ['Conv', 'MatMul', 'Softmax', 'Transpose'] }, sequences)
  expect(notes.filter(({ action }) => action === 'skipped')).toEqual([])
  expect(countOps(await optimizedByRuntime(model))).toMatchObject({
    QLinearConv: 2,
    QLinearMatMul: 2,
    QLinearSoftmax: 1,
    QuantizeLinear: 1,
    DequantizeLinear: 1,
  })
  expect(await signalToNoise(original, model, sequences)).toBeGreaterThan(20)
})
