import { expect, test } from 'vitest'
import { getInt } from '../../../src/engine/ir/attribute.ts'
import { dtypeTable } from '../../../src/engine/ir/dtype.ts'
import type { Model } from '../../../src/engine/ir/model.ts'
import { viewOf } from '../../../src/engine/ir/tensor.ts'
import { encodeModel, loadModel } from '../../../src/engine/onnx/index.ts'
import { toHalf } from '../../../src/engine/passes/fp16/half.ts'
import { decodedModel, ocrModels, vadModel, type ModelSpec } from '../../support/models.ts'
import {
  applyPass,
  cosine,
  countOps,
  datasetOf,
  floats,
  int64s,
  noise,
  numbers,
  runModel,
  type NodeSpec,
} from './support.ts'

const x = floats([2, 8], (index) => noise(index))

function modelOf(nodes: NodeSpec[], extra: Partial<ModelSpec> = {}): Model {
  const { initializers, ...rest } = extra
  return decodedModel({
    inputs: { x: ['float32', ['n', 8]] },
    outputs: { y: ['float32'] },
    nodes,
    ...rest,
    initializers: { w: floats([8, 8], (index) => noise(index, 2)), ...initializers },
  })
}

async function similarity(original: Model, model: Model): Promise<number> {
  const [before, after] = [await runModel(original, { x }), await runModel(model, { x })]
  expect(Object.keys(after)).toEqual(Object.keys(before))
  return cosine(numbers(Object.values(before)[0]), numbers(Object.values(after)[0]))
}

const perceptron: NodeSpec[] = [
  ['MatMul', ['x', 'w'], ['a']],
  ['Relu', ['a'], ['b']],
  ['MatMul', ['b', 'w'], ['y']],
]

test('weights and arithmetic become float16 between one cast at each end', async () => {
  const original = modelOf(perceptron)
  const { model, warnings } = await applyPass('fp16', original)
  expect(countOps(model)).toEqual({ Cast: 2, MatMul: 2, Relu: 1 })
  expect([...model.graph.initializers].map(({ initializer }) => initializer?.dtype)).toEqual(['float16'])
  expect(encodeModel(model).byteLength).toBeLessThan(encodeModel(original).byteLength)
  expect(model.graph.outputs.map(({ name }) => name)).toEqual(['y'])
  expect(await similarity(original, model)).toBeGreaterThan(0.99999)
  expect(warnings?.map(({ code }) => code)).toEqual(['fp16_storage_only'])
})

test('only a CPU is warned of', async () => {
  const { warnings } = await applyPass('fp16', modelOf(perceptron), {}, { target: { device: 'cuda', isa: [] } })
  expect(warnings).toEqual([])
})

test('a second run changes nothing', async () => {
  const first = await applyPass('fp16', modelOf(perceptron))
  const second = await applyPass('fp16', first.model)
  expect(second).toMatchObject({ modified: false, notes: [] })
})

test('without casts the inputs and outputs are float16', async () => {
  const { model } = await applyPass('fp16', modelOf(perceptron), { keepIoTypes: false })
  expect(countOps(model)).toEqual({ MatMul: 2, Relu: 1 })
  const { y } = await runModel(model, { x: toHalf(x).tensor })
  expect(y?.dtype).toBe('float16')
  const blocked = await applyPass('fp16', modelOf(perceptron), { keepIoTypes: false, blockOps: ['MatMul'] })
  expect(countOps(blocked.model)).toEqual({ MatMul: 2, Relu: 1, Cast: 3 })
  expect((await runModel(blocked.model, { x: toHalf(x).tensor }))['y']?.dtype).toBe('float32')
})

test.each<[string, NodeSpec[], Partial<ModelSpec>, Record<string, unknown>, Record<string, number>]>([
  [
    'an operator type of the options',
    [...perceptron.slice(0, 2), ['Softmax', ['b'], ['y']]],
    {},
    { blockOps: ['Relu'] },
    { Cast: 4, MatMul: 1, Relu: 1, Softmax: 1 },
  ],
  [
    'a node of the options',
    [
      ['MatMul', ['x', 'w'], ['a'], {}, 'first'],
      ['MatMul', ['a', 'w'], ['y']],
    ],
    {},
    { exclude: ['first'] },
    { Cast: 2, MatMul: 2 },
  ],
  [
    'an operator without a float16 form',
    [
      ['MatMul', ['x', 'w'], ['a']],
      ['CumSum', ['a', 'axis'], ['c']],
      ['Relu', ['c'], ['y']],
    ],
    { initializers: { axis: int64s([], [1]) } },
    {},
    { Cast: 4, MatMul: 1, CumSum: 1, Relu: 1 },
  ],
  [
    'a cast from integers',
    [
      ['Shape', ['x'], ['s']],
      ['Cast', ['s'], ['f'], { to: 1 }],
      ['Mul', ['f', 'k'], ['y']],
    ],
    { initializers: { k: floats([], [2]) } },
    {},
    { Shape: 1, Cast: 2, Mul: 1 },
  ],
  [
    'a constant made at run time',
    [
      ['Shape', ['x'], ['s']],
      ['ConstantOfShape', ['s'], ['c'], { value: floats([1], [0.5]) }],
      ['Add', ['x', 'c'], ['y']],
    ],
    {},
    {},
    { Shape: 1, ConstantOfShape: 1, Cast: 2, Add: 1 },
  ],
])('%s computes what it did', async (_what, nodes, extra, options, counts) => {
  const original = modelOf(nodes, extra)
  const { model } = await applyPass('fp16', original, options)
  expect(countOps(model)).toEqual(counts)
  expect(await similarity(original, model)).toBeGreaterThan(0.9999)
})

test('the scales of a Resize stay float32', async () => {
  const original = modelOf(
    [
      ['Reshape', ['x', 'shape'], ['i']],
      ['Resize', ['i', '', 'scales'], ['y'], { mode: 'nearest' }],
    ],
    {
      initializers: { shape: int64s([4], [1, 2, 2, 4]), scales: floats([4], [1, 1, 2, 2]) },
    },
  )
  const { model } = await applyPass('fp16', original)
  expect([...model.graph.initializers].find(({ name }) => name === 'scales')?.initializer?.dtype).toBe('float32')
  expect(await similarity(original, model)).toBeGreaterThan(0.9999)
})

test('a branch that reads an outer value gets it in float32', async () => {
  const branch = (opType: string) => ({
    graph: { outputs: { out: ['float32'] as ['float32'] }, nodes: [[opType, ['a'], ['out']] as NodeSpec] },
  })
  const original = modelOf(
    [
      ['MatMul', ['x', 'w'], ['a']],
      ['ReduceMax', ['x'], ['top'], { keepdims: 0 }],
      ['Greater', ['top', 'limit'], ['flag']],
      ['If', ['flag'], ['c'], { then_branch: branch('Relu'), else_branch: branch('Neg') }],
      ['Relu', ['c'], ['y']],
    ],
    { initializers: { limit: floats([], [0.25]) } },
  )
  const { model, notes } = await applyPass('fp16', original)
  expect(notes.find(({ op }) => op === 'If')).toMatchObject({ action: 'skipped' })
  expect(await similarity(original, model)).toBeGreaterThan(0.9999)
})

test('nodes whose values leave the range on samples stay float32', async () => {
  const nodes: NodeSpec[] = [
    ['MatMul', ['x', 'w'], ['a'], {}, 'first'],
    ['Mul', ['a', 'k'], ['b'], {}, 'blow up'],
    ['Div', ['b', 'k'], ['c'], {}, 'bring back'],
    ['Relu', ['c'], ['y'], {}, 'last'],
  ]
  const original = modelOf(nodes, { initializers: { k: floats([], [30_000]) } })
  const calibration = await datasetOf({ x: floats([4, 8], (index) => 3 * noise(index)) })
  const { model, notes } = await applyPass('fp16', original, {}, { calibration })
  expect(notes.filter(({ action }) => action === 'done').map(({ node }) => node)).toEqual(['first', 'last'])
  expect(notes.find(({ node }) => node === 'blow up')?.reason).toMatch(
    /'b' reached [\d.]+e\+[45] on the samples, beyond 32768/,
  )
  expect(await similarity(original, model)).toBeGreaterThan(0.99999)
  const unseen = await applyPass('fp16', original, { samples: 0 }, { calibration })
  expect(unseen.notes.filter(({ action }) => action === 'done')).toHaveLength(4)
  await calibration.close()
})

test('sums of too many products stay float32 where the options say so', async () => {
  const { notes } = await applyPass('fp16', modelOf(perceptron), { maxReduction: 7 })
  expect(notes.filter(({ op }) => op === 'MatMul').map(({ reason }) => reason)).toEqual(
    Array(2).fill('it stays float32: its sums have 8 products, more than 7'),
  )
})

test('branches are float16 inside, without casts back and forth on the way in', async () => {
  const branch = (opType: string, output: string) => ({
    graph: {
      outputs: { [output]: ['float32', ['n', 8]] as ['float32', ['n', 8]] },
      nodes: [
        ['MatMul', ['a', 'w'], [`${output}_product`]],
        [opType, [`${output}_product`], [output]],
      ] as NodeSpec[],
    },
  })
  const original = modelOf(
    [
      ['MatMul', ['x', 'w'], ['a']],
      ['ReduceMax', ['x'], ['top'], { keepdims: 0 }],
      ['Greater', ['top', 'limit'], ['flag']],
      ['If', ['flag'], ['y'], { then_branch: branch('Relu', 't'), else_branch: branch('Neg', 'e') }],
    ],
    { initializers: { limit: floats([], [0.25]) } },
  )
  const { model } = await applyPass('fp16', original)
  // In: x. Out: one in each branch. Not between `a` and the branches.
  expect(countOps(model)).toMatchObject({ Cast: 3, MatMul: 3, Relu: 1, Neg: 1 })
  const weights = [...model.graph.initializers].filter(({ initializer }) => initializer?.dims.length === 2)
  expect(weights.map(({ initializer }) => initializer?.dtype)).toEqual(['float16'])
  for (const sign of [1, -1]) {
    const feeds = { x: floats([2, 8], (index) => sign * Math.abs(noise(index))) }
    const [before, after] = [
      numbers((await runModel(original, feeds))['y']),
      numbers((await runModel(model, feeds))['y']),
    ]
    expect(cosine(before, after)).toBeGreaterThan(0.9999)
  }
  expect(await applyPass('fp16', model)).toMatchObject({ modified: false })
})

test('Silero VAD, whose whole net is in a branch, becomes smaller and answers alike', async () => {
  const original = await loadModel(vadModel)
  const { model, notes } = await applyPass('fp16', original)
  expect(encodeModel(model).byteLength).toBeLessThan(0.65 * encodeModel(original).byteLength)
  expect(notes.filter(({ action }) => action === 'done').length).toBeGreaterThan(20)
  const feeds = {
    input: floats([1, 512], (index) => noise(index) / 4),
    state: floats([2, 1, 128], () => 0),
    sr: int64s([], [16_000]),
  }
  const [before, after] = [await runModel(original, feeds), await runModel(model, feeds, {})]
  expect(cosine(numbers(before['stateN']), numbers(after['stateN']))).toBeGreaterThan(0.999)
})

test('a value that is an output and is read further keeps both', async () => {
  const original = modelOf(
    [
      ['MatMul', ['x', 'w'], ['y']],
      ['Relu', ['y'], ['z']],
    ],
    { outputs: { y: ['float32', ['n', 8]], z: ['float32', ['n', 8]] } },
  )
  const { model } = await applyPass('fp16', original)
  const casts = [...model.graph.nodes].filter(({ opType }) => opType === 'Cast')
  const targets = casts.map((node) => getInt(node, 'to'))
  expect(targets).toHaveLength(3)
  expect(targets.filter((to) => to === dtypeTable.float32.onnx)).toHaveLength(2)
  expect(await similarity(original, model)).toBeGreaterThan(0.99999)
})

test('weights outside the range of float16 stay float32; tiny ones are moved into it, and the notes say how many', async () => {
  const original = modelOf([['MatMul', ['x', 'big'], ['y'], {}, 'product']], {
    initializers: { big: floats([8, 1], [1e6, -1e6, 1e-9, 0, 1, 2, 3, 4]) },
  })
  expect(await applyPass('fp16', original)).toMatchObject({
    modified: false,
    notes: [{ node: 'product', reason: 'it stays float32: its weights reach 1.00e+6, beyond 32768' }],
  })
  const tiny = modelOf([['MatMul', ['x', 'small'], ['y']]], {
    initializers: { small: floats([8, 1], [1e-9, -1e-9, 0, 1, 2, 3, 4, 5]) },
  })
  const { notes } = await applyPass('fp16', tiny)
  expect(notes.at(-1)?.reason).toBe("2 values of 'small' were outside the range of float16 and moved into it")
  const { tensor } = toHalf(floats([6], [1e6, -1e-9, 0, Number.POSITIVE_INFINITY, 1.0009765625, 65_504]))
  const bits = viewOf(tensor, 'float16')
  const half = Array.from(new Float16Array(bits.buffer, bits.byteOffset, 6))
  expect(half).toEqual([65_504, -(2 ** -24), 0, Number.POSITIVE_INFINITY, 1.0009765625, 65_504])
})

test('a model whose values are no tensors is left alone, with a reason', async () => {
  const original = modelOf([
    ['SequenceConstruct', ['x', 'x'], ['s']],
    ['ConcatFromSequence', ['s'], ['y'], { axis: 0 }],
  ])
  expect(await applyPass('fp16', original)).toMatchObject({
    modified: false,
    notes: [{ action: 'skipped', reason: expect.stringMatching(/can't be inferred/) }],
  })
})

test.each([
  ['cls', [1, 3, 48, 96], 0.999],
  ['rec', [1, 3, 48, 64], 0.99],
] as const)('PP-OCR %s in float16: half the size, the same answers', async (name, dims, close) => {
  const original = await loadModel(ocrModels[name])
  const { model } = await applyPass('fp16', original)
  expect(encodeModel(model).byteLength).toBeLessThan(0.6 * encodeModel(original).byteLength)
  const feeds = { x: floats(dims, (index) => noise(index)) }
  const [before, after] = [
    Object.values(await runModel(original, feeds))[0],
    Object.values(await runModel(model, feeds, {}))[0],
  ]
  expect(cosine(numbers(before), numbers(after))).toBeGreaterThan(close)
})
