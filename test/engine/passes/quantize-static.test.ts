import { expect, test } from 'vitest'
import { affineParams, quantizeValue } from '../../../src/engine/calibrate/affine.ts'
import { getInt } from '../../../src/engine/ir/attribute.ts'
import type { Model } from '../../../src/engine/ir/model.ts'
import { viewOf, type Tensor } from '../../../src/engine/ir/tensor.ts'
import { decodedModel, type ModelSpec } from '../../support/models.ts'
import {
  applyPass,
  cosine,
  countOps,
  datasetOf,
  floats,
  int64s,
  noise,
  numbers,
  optimizedByRuntime,
  runModel,
  type NodeSpec,
} from './support.ts'

const x = floats([4, 4, 6, 6], (index) => noise(index))

/** Conv weights with channels of very different sizes, so that one scale for all would show. */
function weights(dims: readonly number[], seed: number): Tensor {
  const inner = dims.slice(1).reduce((product, dim) => product * dim, 1)
  return floats(dims, (index) => noise(index, seed) * 2 ** (Math.floor(index / inner) % 5))
}

function modelOf(nodes: NodeSpec[], extra: Partial<ModelSpec> = {}): Model {
  const { initializers, ...rest } = extra
  return decodedModel({
    inputs: { x: ['float32', ['n', 4, 6, 6]] },
    outputs: { y: ['float32'] },
    nodes,
    ...rest,
    initializers: {
      w: weights([8, 4, 3, 3], 2),
      b: floats([8], (index) => noise(index, 3)),
      v: weights([8, 8, 1, 1], 4),
      depthwise: weights([8, 1, 3, 3], 5),
      ...initializers,
    },
  })
}

// 7-bit weights: with 8 the sums saturate on CPUs without VNNI, and the tests must hold on any.
const reduced = { reduceRange: 'always' }

async function quantize(
  original: Model,
  options: Record<string, unknown> = {},
  samples: Record<string, Tensor> = { x },
) {
  const calibration = await datasetOf(samples)
  try {
    return await applyPass('quantize.static', original, { ...reduced, ...options }, { calibration })
  } finally {
    await calibration.close()
  }
}

/** How close int8 comes to float, with the runtime's optimizations off and on. */
async function similarity(original: Model, model: Model, feeds: Record<string, Tensor> = { x }): Promise<number[]> {
  const before = numbers(Object.values(await runModel(original, feeds))[0])
  const results: number[] = []
  for (const level of ['disabled', 'all'] as const) {
    const after = numbers(Object.values(await runModel(model, feeds, { optimizationLevel: level }))[0])
    results.push(cosine(before, after))
  }
  return results
}

const twoConvs: NodeSpec[] = [
  ['Conv', ['x', 'w', 'b'], ['c'], { pads: [1, 1, 1, 1] }, 'first'],
  ['Relu', ['c'], ['r']],
  ['Conv', ['r', 'v'], ['y'], {}, 'second'],
]

test('Convs get int8 weights per channel, an int32 bias, one pair per activation, and the Relu goes into it', async () => {
  const original = modelOf(twoConvs)
  const { model, notes } = await quantize(original)
  expect(countOps(model)).toEqual({ Conv: 2, QuantizeLinear: 3, DequantizeLinear: 6 })
  expect(model.graph.outputs.map(({ name }) => name)).toEqual(['y'])
  const first = [...model.graph.nodes].find(({ name }) => name === 'first')
  const [, weight, bias] = (first?.inputs ?? []).map((value) => value?.producer)
  expect(getInt(weight as never, 'axis')).toBe(0)
  expect(weight?.inputs.map((value) => value?.initializer?.dtype)).toEqual(['int8', 'float32', 'int8'])
  expect(weight?.inputs[1]?.initializer?.dims).toEqual([8])
  expect(bias?.inputs.map((value) => value?.initializer?.dtype)).toEqual(['int32', 'float32'])
  expect(notes.filter(({ action }) => action === 'done').map(({ node }) => node)).toEqual(['first', 'second'])
  for (const close of await similarity(original, model)) expect(close).toBeGreaterThan(0.999)
  expect(countOps(await optimizedByRuntime(model))).toEqual({ QuantizeLinear: 1, QLinearConv: 2, DequantizeLinear: 1 })
})

test('what is integers already comes out exactly', async () => {
  // Inputs 0, 1, 2, 255 and weights −1, 0, 1 have scale 1 and 1/64; sums stay below 255.
  const input = floats([2, 1, 3, 3], (index) => [0, 1, 2, 255][index % 4] as number)
  const original = decodedModel({
    inputs: { x: ['float32', ['n', 1, 3, 3]] },
    outputs: { y: ['float32'] },
    initializers: { w: floats([2, 1, 1, 1], [1, -1]), b: floats([2], [0, 255]) },
    nodes: [['Conv', ['x', 'w', 'b'], ['y']]],
  })
  const { model } = await quantize(original, {}, { x: input })
  const [before, after] = [
    numbers((await runModel(original, { x: input }))['y']),
    numbers((await runModel(model, { x: input }))['y']),
  ]
  after.forEach((value, index) => expect(value).toBeCloseTo(before[index] as number, 4))
})

test('activations are quantized as the arithmetic says', async () => {
  const { model } = await quantize(modelOf([['Conv', ['x', 'w'], ['y']]]))
  const pair = [...model.graph.nodes].find(
    ({ opType, inputs }) => opType === 'QuantizeLinear' && inputs[0]?.name === 'x',
  )
  const values = numbers(x)
  const params = affineParams(
    { min: Math.min(...values), max: Math.max(...values) },
    { dtype: 'uint8', symmetric: false },
  )
  expect(numbers(pair?.inputs[1]?.initializer)[0]).toBe(params.scale)
  expect(viewOf(pair?.inputs[2]?.initializer as Tensor, 'uint8')[0]).toBe(params.zeroPoint)
  expect(quantizeValue(0, params)).toBe(params.zeroPoint)
})

test('int8 activations are symmetric, and keep the Relu', async () => {
  const original = modelOf(twoConvs)
  const { model } = await quantize(original, { activations: 'int8' })
  expect(countOps(model)).toMatchObject({ Relu: 1 })
  const zeroPoints = [...model.graph.nodes]
    .filter(({ opType }) => opType === 'QuantizeLinear')
    .map(({ inputs }) => inputs[2]?.initializer)
  // The same numbers as int8 around 0, in the form that x64 has kernels for.
  for (const tensor of zeroPoints) expect(viewOf(tensor as Tensor, 'uint8')[0]).toBe(128)
  for (const close of await similarity(original, model)) expect(close).toBeGreaterThan(0.999)
})

test('one scale per weight where per channel is off', async () => {
  const original = modelOf(twoConvs)
  const { model } = await quantize(original, { perChannel: false })
  const scales = [...model.graph.nodes]
    .filter(({ opType }) => opType === 'DequantizeLinear')
    .map(({ inputs }) => inputs[1]?.initializer?.dims)
  expect(scales.every((dims) => dims?.length === 0)).toBe(true)
  for (const close of await similarity(original, model)) expect(close).toBeGreaterThan(0.99)
})

test('a depthwise Conv stays float, and the runtime does not quantize it behind our back', async () => {
  const original = modelOf([
    ['Conv', ['x', 'w', 'b'], ['c'], { pads: [1, 1, 1, 1] }],
    ['Relu', ['c'], ['r']],
    ['Conv', ['r', 'depthwise', 'b'], ['d'], { group: 8, pads: [1, 1, 1, 1] }, 'depth'],
    ['Relu', ['d'], ['s']],
    ['Conv', ['s', 'v'], ['y']],
  ])
  const { model, notes } = await quantize(original)
  expect(notes.find(({ node }) => node === 'depth')).toMatchObject({
    action: 'skipped',
    reason: expect.stringMatching(/depthwise/),
  })
  expect(countOps(await optimizedByRuntime(model))).toMatchObject({ QLinearConv: 2, Conv: 1 })
  for (const close of await similarity(original, model)) expect(close).toBeGreaterThan(0.999)
})

test('an excluded Conv stays float even right after an int8 one', async () => {
  const { model, notes } = await quantize(modelOf(twoConvs), { exclude: ['second'] })
  expect(notes.find(({ node }) => node === 'second')?.reason).toBe('excluded by the options')
  expect(countOps(await optimizedByRuntime(model))).toMatchObject({ QLinearConv: 1, Conv: 1 })
})

test('Add, pools, Concat and what only moves data stay in int8 between int8 nodes', async () => {
  const original = modelOf([
    ['Conv', ['x', 'w', 'b'], ['c'], { pads: [1, 1, 1, 1] }],
    ['Relu', ['c'], ['r']],
    ['MaxPool', ['r'], ['p'], { kernel_shape: [2, 2], strides: [2, 2] }],
    ['Conv', ['p', 'v'], ['d']],
    ['Add', ['d', 'p'], ['a']],
    ['Relu', ['a'], ['s']],
    ['Concat', ['s', 'd'], ['k'], { axis: 2 }],
    ['Transpose', ['k'], ['t'], { perm: [0, 1, 3, 2] }],
    ['Conv', ['t', 'v'], ['y']],
  ])
  const { model, notes } = await quantize(original)
  const followers = notes.filter(({ reason }) => reason.startsWith('stays in int8')).map(({ op }) => op)
  expect(new Set(followers)).toEqual(new Set(['Add', 'Concat', 'MaxPool', 'Transpose']))
  expect(countOps(model)['Relu']).toBeUndefined()
  const optimized = countOps(await optimizedByRuntime(model))
  expect(optimized).toMatchObject({
    QLinearConv: 3,
    QLinearAdd: 1,
    QLinearConcat: 1,
    QuantizeLinear: 1,
    DequantizeLinear: 1,
  })
  for (const close of await similarity(original, model)) expect(close).toBeGreaterThan(0.998)
})

test('what only moves data takes over the scale of its input', async () => {
  const { model } = await quantize(
    modelOf([
      ['Conv', ['x', 'w', 'b'], ['c']],
      ['Transpose', ['c'], ['t'], { perm: [0, 1, 3, 2] }],
      ['Conv', ['t', 'v'], ['y']],
    ]),
  )
  const scaleOf = (name: string) => {
    const pair = [...model.graph.nodes].find(
      ({ opType, inputs }) => opType === 'QuantizeLinear' && inputs[0]?.name === name,
    )
    return numbers(pair?.inputs[1]?.initializer)[0]
  }
  expect(scaleOf('t')).toBe(scaleOf('c'))
})

test('a float node reads the float value where there is one', async () => {
  const { model } = await quantize(
    modelOf(
      [
        ['Sigmoid', ['x'], ['s']],
        ['Conv', ['s', 'w'], ['c']],
        ['Erf', ['s'], ['z']],
        ['Relu', ['c'], ['y']],
      ],
      { outputs: { y: ['float32'], z: ['float32'] } },
    ),
  )
  const erf = [...model.graph.nodes].find(({ opType }) => opType === 'Erf')
  expect(erf?.inputs[0]?.name).toBe('s')
})

test.each<[string, NodeSpec[], NonNullable<ModelSpec['initializers']>]>([
  [
    'a Gemm with a bias of dims [1, N], alpha and beta',
    [
      ['Flatten', ['x'], ['f']],
      ['Gemm', ['f', 'g', 'h'], ['y'], { alpha: 0.5, beta: 2, transB: 1 }],
    ],
    { g: weights([5, 144], 6), h: floats([1, 5], (index) => noise(index, 7)) },
  ],
  [
    'a MatMul',
    [
      ['Flatten', ['x'], ['f']],
      ['MatMul', ['f', 'g'], ['y']],
    ],
    { g: weights([144, 5], 6) },
  ],
])('%s runs in int8 and gives float', async (_what, nodes, initializers) => {
  const original = modelOf(nodes, { initializers })
  const { model } = await quantize(original)
  expect(countOps(model)['QuantizeLinear']).toBe(1)
  const optimized = countOps(await optimizedByRuntime(model))
  expect((optimized['QGemm'] ?? 0) + (optimized['MatMulIntegerToFloat'] ?? 0)).toBe(1)
  for (const close of await similarity(original, model)) expect(close).toBeGreaterThan(0.999)
})

test('a Softmax before a product has the whole range from 0 to 1', async () => {
  const original = modelOf(
    [
      ['Flatten', ['x'], ['f']],
      ['Softmax', ['f'], ['s']],
      ['MatMul', ['s', 'g'], ['y']],
    ],
    { initializers: { g: weights([144, 5], 6) } },
  )
  const { model } = await quantize(original)
  const pair = [...model.graph.nodes].find(({ opType }) => opType === 'QuantizeLinear')
  expect(numbers(pair?.inputs[1]?.initializer)[0]).toBe(Math.fround(1 / 255))
})

test('weights that two Convs share, and a bias too, are quantized for each', async () => {
  const original = modelOf(
    [
      ['Conv', ['x', 'w', 'b'], ['c']],
      ['Mul', ['x', 'k'], ['m']],
      ['Conv', ['m', 'w', 'b'], ['d']],
      ['Sub', ['c', 'd'], ['y']],
    ],
    { initializers: { k: floats([], [30]) } },
  )
  const { model } = await quantize(original)
  for (const close of await similarity(original, model)) expect(close).toBeGreaterThan(0.998)
})

test('a bias far larger than its weights does not saturate', async () => {
  const original = modelOf([['Conv', ['x', 'w', 'b'], ['y']]], {
    initializers: { w: floats([8, 4, 3, 3], (index) => 1e-9 * noise(index)), b: floats([8], () => 100) },
  })
  const { model } = await quantize(original)
  const { y } = await runModel(model, { x })
  for (const value of numbers(y)) expect(Math.abs(value - 100)).toBeLessThan(0.5)
})

test.each<[string, NodeSpec[], Partial<ModelSpec>, string]>([
  [
    'weights that are an input',
    [['Conv', ['x', 'z'], ['y']]],
    { inputs: { x: ['float32', ['n', 4, 6, 6]], z: ['float32', [2, 4, 1, 1]] } },
    'both its inputs are activations',
  ],
  [
    'a bias that is computed',
    [
      ['Neg', ['z'], ['b2']],
      ['Conv', ['x', 'w', 'b2'], ['y']],
    ],
    { inputs: { x: ['float32', ['n', 4, 6, 6]], z: ['float32', [8]] } },
    'its bias is not a constant',
  ],
])('%s: the Conv stays float', async (_what, nodes, extra, reason) => {
  const { modified, notes } = await quantize(modelOf(nodes, extra))
  expect(modified).toBe(false)
  expect(notes.map((note) => note.reason)).toContain(reason)
})

test('a value that becomes infinite in calibration keeps its Conv float', async () => {
  const original = modelOf([
    ['Exp', ['x'], ['e']],
    ['Conv', ['e', 'w'], ['c'], {}, 'conv'],
    ['Conv', ['x', 'w'], ['d']],
    ['Add', ['c', 'd'], ['y']],
  ])
  const { notes, model } = await quantize(
    original,
    {},
    { x: floats([2, 4, 6, 6], (index) => (index === 5 ? 200 : noise(index))) },
  )
  expect(notes.find(({ node }) => node === 'conv')?.reason).toBe(
    "value 'e' can't be quantized: it took the value Infinity in calibration",
  )
  expect(countOps(model)).toMatchObject({ Conv: 2, QuantizeLinear: 2 })
})

test('without calibration data the pass says so', async () => {
  await expect(applyPass('quantize.static', modelOf(twoConvs))).rejects.toMatchObject({ code: 'dataset_needed' })
})

test('data of another shape is a mismatch, not a failure of the pass', async () => {
  await expect(quantize(modelOf(twoConvs), {}, { x: floats([4, 3, 6, 6], () => 1) })).rejects.toMatchObject({
    code: 'dataset_mismatch',
  })
})

test('a second run changes nothing', async () => {
  const first = await quantize(modelOf(twoConvs))
  const second = await quantize(first.model)
  expect(second.modified).toBe(false)
  expect(second.notes.map(({ reason }) => reason)).toEqual(['it is quantized already', 'it is quantized already'])
})

test('Constant nodes, opset 11 and a Clip with attributes need no other pass before', async () => {
  const original = modelOf(
    [
      ['Constant', [], ['k'], { value: weights([8, 4, 3, 3], 2) }],
      ['Conv', ['x', 'k', 'b'], ['c']],
      ['Clip', ['c'], ['r'], { min: { float: 0 }, max: { float: 6 } }],
      ['Conv', ['r', 'v'], ['y']],
    ],
    { opset: 9 },
  )
  const { model } = await quantize(original)
  expect(model.opsetImports.get('')).toBe(13)
  expect(countOps(model)).toEqual({ Conv: 2, QuantizeLinear: 3, DequantizeLinear: 6 })
  for (const close of await similarity(original, model)) expect(close).toBeGreaterThan(0.999)
})

test('a graph with a subgraph is quantized around and inside it', async () => {
  const branch = (opType: string) => ({
    graph: {
      outputs: { out: ['float32'] as ['float32'] },
      nodes: [[opType, ['c'], ['m']] as NodeSpec, ['Conv', ['m', 'v'], ['out'], {}, `inner-${opType}`] as NodeSpec],
    },
  })
  const original = modelOf(
    [
      ['Conv', ['x', 'w', 'b'], ['c']],
      ['ReduceMax', ['x'], ['top'], { keepdims: 0 }],
      ['Greater', ['top', 'limit'], ['flag']],
      ['If', ['flag'], ['y'], { then_branch: branch('Relu'), else_branch: branch('Neg') }],
    ],
    { initializers: { limit: floats([], [0.5]), unused: int64s([1], [1]) } },
  )
  const { model, notes } = await quantize(original)
  // No sample takes the other branch.
  expect(notes.filter(({ action }) => action === 'skipped').map(({ node }) => node)).toEqual(['inner-Neg'])
  for (const close of await similarity(original, model)) expect(close).toBeGreaterThan(0.999)
})
