import { expect, test } from 'vitest'
import { tensorOf } from '../../../../src/engine/ir/tensor.ts'
import { passSchemas } from '../../../../src/engine/passes/options/index.ts'
import { countOps, floats, int64s, noise, optimizedByRuntime, type NodeSpec } from '../support.ts'
import { imageModel, quantize, signalToNoise, weights } from './support.ts'

const everyOp = passSchemas['quantize.static'].options.properties.ops.items.enum

const initializers = {
  w: weights([8, 4, 3, 3], 2),
  v: weights([8, 8, 1, 1], 4),
  b: floats([8], (index) => noise(index, 3)),
  picks: int64s([3], [2, 0, 1]),
  halves: int64s([2], [4, 4]),
  space: int64s([2], [2, 3]),
  elements: int64s(
    [8, 8, 4, 2],
    Array.from({ length: 512 }, (_, index) => index % 4),
  ),
  double: floats([4], [1, 1, 2, 2]),
  two: int64s([4], [1, 1, 2, 1]),
  wide: int64s([4], [1, 1, 4, 4]),
  mask: tensorOf(
    'bool',
    [1, 1, 4, 4],
    Uint8Array.from({ length: 16 }, (_, index) => index % 2),
  ),
}

/** What one operator between two Convs becomes in the graph that the runtime makes. */
async function between(middle: NodeSpec[]) {
  const original = imageModel(
    [['Conv', ['x', 'w', 'b'], ['c'], {}], ...middle, ['Conv', ['m', 'v'], ['y']]],
    initializers,
  )
  const { model } = await quantize(original, { ops: everyOp })
  expect(await signalToNoise(original, model)).toBeGreaterThan(20)
  return countOps(await optimizedByRuntime(model))
}

test.each<[string, NodeSpec[], string]>([
  ['Gather', [['Gather', ['c', 'picks'], ['m'], { axis: 2 }]], 'Gather'],
  ['Tile', [['Tile', ['c', 'two'], ['m']]], 'Tile'],
  [
    'Expand',
    [
      ['MaxPool', ['c'], ['p'], { kernel_shape: [1, 4] }],
      ['Expand', ['p', 'wide'], ['m']],
    ],
    'Expand',
  ],
  ['Softmax', [['Softmax', ['c'], ['m'], { axis: 3 }]], 'QLinearSoftmax'],
  ['LeakyRelu', [['LeakyRelu', ['c'], ['m'], { alpha: 0.1 }]], 'QLinearLeakyRelu'],
  ['Sigmoid', [['Sigmoid', ['c'], ['m']]], 'QLinearSigmoid'],
  [
    'Where',
    [
      ['Transpose', ['c'], ['t'], { perm: [0, 1, 3, 2] }],
      ['Where', ['mask', 'c', 't'], ['m']],
    ],
    'QLinearWhere',
  ],
  [
    'Mul',
    [
      ['Transpose', ['c'], ['t'], { perm: [0, 1, 3, 2] }],
      ['Mul', ['c', 't'], ['m']],
    ],
    'QLinearMul',
  ],
  ['AveragePool', [['AveragePool', ['c'], ['m'], { kernel_shape: [2, 2] }]], 'QLinearAveragePool'],
  [
    'Split',
    [
      ['Split', ['c', 'halves'], ['s', 't'], { axis: 1 }],
      ['Concat', ['t', 's'], ['m'], { axis: 1 }],
    ],
    'Split',
  ],
  [
    'DepthToSpace',
    [
      ['DepthToSpace', ['c'], ['e'], { blocksize: 2 }],
      ['Concat', ['e', 'e', 'e', 'e'], ['m'], { axis: 1 }],
    ],
    'DepthToSpace',
  ],
  ['GatherElements', [['GatherElements', ['c', 'elements'], ['m'], { axis: 3 }]], 'GatherElements'],
  ['ReduceMax', [['ReduceMax', ['c', 'space'], ['m'], { keepdims: 1 }]], 'ReduceMax'],
  ['ReduceMin', [['ReduceMin', ['c', 'space'], ['m'], { keepdims: 1 }]], 'ReduceMin'],
  ['GlobalAveragePool', [['GlobalAveragePool', ['c'], ['m']]], 'QLinearGlobalAveragePool'],
  ['Resize', [['Resize', ['c', '', 'double'], ['m'], { mode: 'nearest' }]], 'Resize'],
  [
    'MatMul of two activations',
    [
      ['Transpose', ['c'], ['t'], { perm: [0, 1, 3, 2] }],
      ['MatMul', ['c', 't'], ['m']],
    ],
    'QLinearMatMul',
  ],
])('%s between Convs runs on integers: one pair is left, at the ends', async (_name, middle, kernel) => {
  const counts = await between(middle)
  expect(counts).toMatchObject({ [kernel]: 1, QLinearConv: 2, QuantizeLinear: 1, DequantizeLinear: 1 })
})

test.each<[string, NodeSpec[]]>([
  ['HardSigmoid', [['HardSigmoid', ['c'], ['m']]]],
  ['Neg', [['Neg', ['c'], ['m']]]],
])('%s has no kernel on integers, so it gets no pair of its own', async (name, middle) => {
  const counts = await between(middle)
  // Out of integers once before it, into them once after it, and the pair of the ends.
  expect(counts).toMatchObject({ [name]: 1, QLinearConv: 2, QuantizeLinear: 2, DequantizeLinear: 2 })
})
