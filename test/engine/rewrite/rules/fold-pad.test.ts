import { expect, test } from 'vitest'
import type { ModelSpec } from '../../../support/models.ts'
import { floats, int64s, noise, type NodeSpec } from '../../passes/support.ts'
import { rewrite } from './support.ts'

const feeds = { x: floats([1, 2, 5, 6], (index) => noise(index)) }
const weights = { w: floats([3, 2, 3, 3], (index) => noise(index, 3)) }

function modelOf(
  pads: readonly number[],
  pool: NodeSpec,
  { fill, mode = 'constant', more = [] }: { fill?: number; mode?: string; more?: NodeSpec[] } = {},
): ModelSpec {
  const inputs = fill === undefined ? ['x', 'p'] : ['x', 'p', 'fill']
  return {
    inputs: { x: ['float32', ['n', 2, 5, 6]] },
    outputs: { y: ['float32'] },
    initializers: { ...weights, p: int64s([8], pads), ...(fill === undefined ? {} : { fill: floats([], [fill]) }) },
    nodes: [['Pad', inputs, ['m'], { mode }], pool, ...more],
  }
}

const spatial = [0, 0, 1, 2, 0, 0, 2, 1]
const conv: NodeSpec = ['Conv', ['m', 'w'], ['y'], { kernel_shape: [3, 3], pads: [1, 0, 0, 1], strides: [2, 1] }]

test.each<[string, NodeSpec, number?]>([
  ['Conv', conv],
  ['Conv, the value given', ['Conv', ['m', 'w'], ['y'], { auto_pad: 'VALID' }], 0],
  ['AveragePool that pads nothing', ['AveragePool', ['m'], ['y'], { kernel_shape: [3, 3] }]],
  [
    'AveragePool that counts its padding',
    ['AveragePool', ['m'], ['y'], { kernel_shape: [4, 4], pads: [0, 0, 1, 1], count_include_pad: 1 }],
  ],
  ['MaxPool of −∞', ['MaxPool', ['m'], ['y'], { kernel_shape: [3, 3] }], Number.NEGATIVE_INFINITY],
])('Pad goes into %s', async (_what, pool, fill) => {
  const { graph, applied } = await rewrite(modelOf(spatial, pool, fill === undefined ? {} : { fill }), feeds)
  expect(applied).toEqual(['fold-pad'])
  expect(graph).toBe(pool[0] === 'Conv' ? 'y = Conv(x, _)' : `y = ${pool[0]}(x)`)
})

test.each<[string, ModelSpec]>([
  ['the Pad cuts off', modelOf([0, 0, -1, 0, 0, 0, 0, 0], conv)],
  ['the Pad is not over spatial axes only', modelOf([0, 0, 0, 0, 1, 0, 0, 0], conv)],
  ['the Pad is not one with a constant', modelOf(spatial, conv, { mode: 'reflect' })],
  ['Conv pads with another value', modelOf(spatial, conv, { fill: 1 })],
  ['MaxPool pads with another value', modelOf(spatial, ['MaxPool', ['m'], ['y'], { kernel_shape: [3, 3] }])],
  ['Conv pads by itself', modelOf(spatial, ['Conv', ['m', 'w'], ['y'], { auto_pad: 'SAME_UPPER' }])],
  [
    'its windows may reach beyond the padding',
    modelOf(spatial, ['AveragePool', ['m'], ['y'], { kernel_shape: [3, 3], ceil_mode: 1, strides: [2, 2] }]),
  ],
  [
    'it does not count its own padding',
    modelOf(spatial, ['AveragePool', ['m'], ['y'], { kernel_shape: [3, 3], pads: [1, 1, 1, 1] }]),
  ],
])('Pad stays: %s', async (reason, spec) => {
  const { applied, refused } = await rewrite(spec, feeds)
  expect(applied).toEqual([])
  expect(refused).toEqual([`fold-pad: ${reason}`])
})

test('Pad stays where others read it too', async () => {
  const spec = modelOf(spatial, conv, { more: [['Neg', ['m'], ['z']]] })
  const { refused } = await rewrite({ ...spec, outputs: { ...spec.outputs, z: ['float32'] } }, feeds)
  expect(refused).toEqual(['fold-pad: the padded value has other readers'])
})
