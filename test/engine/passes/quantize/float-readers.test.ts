import path from 'node:path'
import { describe, expect, test } from 'vitest'
import { openDataset } from '../../../../src/engine/data/index.ts'
import type { Model } from '../../../../src/engine/ir/model.ts'
import type { Tensor } from '../../../../src/engine/ir/tensor.ts'
import { loadModel } from '../../../../src/engine/onnx/index.ts'
import { applyPass, countOps, floats, int64s, noise, numbers, optimizedByRuntime, type NodeSpec } from '../support.ts'
import { imageModel, quantize, signalToNoise, weights } from './support.ts'

const initializers = {
  w: weights([8, 4, 3, 3], 2),
  b: floats([8], (index) => noise(index, 3)),
  v: weights([8, 8, 1, 1], 4),
  u: floats([288, 8], (index) => noise(index, 5) * 2 ** (index % 5)),
  q: floats([8, 8], (index) => noise(index, 6)),
  flat: int64s([2], [-1, 288]),
  starts: int64s([1], [1]),
  ends: int64s([1], [3]),
  axis: int64s([1], [3]),
}

const pads = [1, 1, 1, 1]
const first: NodeSpec = ['Conv', ['x', 'w', 'b'], ['c'], { pads }, 'first']
// The runtime quantizes what stands between integers on both sides.
const conv = (input: string): NodeSpec[] => [
  ['Conv', [input, 'v', 'b'], ['l'], {}, 'last'],
  ['Conv', ['l', 'v'], ['y']],
]
const gemm = (input: string): NodeSpec[] => [
  ['Gemm', [input, 'u', 'b'], ['l'], {}, 'last'],
  ['Gemm', ['l', 'q'], ['y']],
]
const pool: NodeSpec = ['MaxPool', ['c'], ['m'], { kernel_shape: [2, 2] }]

/** The weights that the last layer has in the graph that the runtime runs; undefined when it computes them. */
async function weightsAtRunTime(model: Model, layer: string): Promise<Tensor | undefined> {
  const graph = await optimizedByRuntime(model)
  const node = [...graph.graph.nodes].find(({ name }) => name === layer)
  expect(node?.opType).toMatch(/^(Conv|Gemm)$/)
  return node?.inputs[1]?.initializer
}

describe('a float layer after an int8 one', () => {
  test.each<[string, NodeSpec[], 'v' | 'u']>([
    ['directly', [...conv('c')], 'v'],
    ['behind a MaxPool', [pool, ...conv('m')], 'v'],
    ['behind a Transpose', [['Transpose', ['c'], ['m'], { perm: [0, 1, 3, 2] }], ...conv('m')], 'v'],
    [
      'behind a Slice and a MaxPool',
      [['Slice', ['c', 'starts', 'ends', 'axis'], ['s']], pool, ...conv('m')].map(
        (node) => (node[0] === 'MaxPool' ? ['MaxPool', ['s'], ['m'], { kernel_shape: [2, 2] }] : node) as NodeSpec,
      ),
      'v',
    ],
    ['a Gemm behind a Reshape', [['Reshape', ['c', 'flat'], ['m']], ...gemm('m')], 'u'],
  ])('keeps its weights: %s', async (_what, tail, name) => {
    const original = imageModel([first, ...tail], initializers)
    const { model } = await quantize(original, { exclude: ['last'] })
    expect(numbers(await weightsAtRunTime(model, 'last'))).toEqual(numbers(initializers[name]))
    expect(await signalToNoise(original, model)).toBeGreaterThan(25)
    expect(countOps(await optimizedByRuntime(model))).toMatchObject({ QLinearConv: name === 'v' ? 2 : 1 })
  })

  test.each<[string, NodeSpec]>([
    ['MaxPool', pool],
    ['Transpose', ['Transpose', ['c'], ['m'], { perm: [0, 1, 3, 2] }]],
  ])('keeps its weights behind a %s that an int8 layer reads too', async (_what, shared) => {
    const other: NodeSpec[] = [
      ['Conv', ['m', 'v'], ['k'], {}, 'other'],
      ['Conv', ['m', 'v', 'b'], ['l'], {}, 'last'],
      ['Add', ['k', 'l'], ['s']],
      ['Conv', ['s', 'v'], ['y']],
    ]
    const { model } = await quantize(imageModel([first, shared, ...other], initializers), { exclude: ['last'] })
    expect(numbers(await weightsAtRunTime(model, 'last'))).toEqual(numbers(initializers.v))
    expect(countOps(await optimizedByRuntime(model))['QLinearConv']).toBeGreaterThanOrEqual(2)
  })

  test('keeps its weights in the digits model, after simplify', async () => {
    const digits = path.join(import.meta.dirname, '../../../../examples/digits')
    const { model: simple } = await applyPass('simplify', await loadModel(path.join(digits, 'digits.onnx')))
    const expected = [...simple.graph.nodes].find(({ name }) => name === 'conv3')?.inputs[1]?.initializer
    const calibration = await openDataset(path.join(digits, 'calibration.npz'))
    const options = { exclude: ['conv3'], calibration: { samples: 8 } }
    const { model } = await applyPass('quantize.static', simple, options, { calibration })
    await calibration.close()
    expect(numbers(await weightsAtRunTime(model, 'conv3'))).toEqual(numbers(expected))
  })
})
