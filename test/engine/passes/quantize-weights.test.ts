import { describe, expect, test } from 'vitest'
import type { Model } from '../../../src/engine/ir/model.ts'
import { getInt } from '../../../src/engine/ir/attribute.ts'
import { allNodes } from '../../../src/engine/ir/model.ts'
import { encodeModel } from '../../../src/engine/onnx/index.ts'
import { decodeBlocks } from '../../../src/engine/passes/quantize-weights/blocks.ts'
import { halfQuadratic } from '../../../src/engine/passes/quantize-weights/half-quadratic.ts'
import { roundToNearest } from '../../../src/engine/passes/quantize-weights/round-to-nearest.ts'
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
  runModel,
  type NodeSpec,
} from './support.ts'

const depth = 64
const x = floats([3, depth], (index) => noise(index))
const weight = floats([depth, 48], (index) => noise(index, 2))

/** No measuring, which takes time. */
const everything = { minElements: 0, accuracyLevel: 'float32' }

function modelOf(nodes: NodeSpec[], extra: Partial<ModelSpec> = {}): Model {
  const { initializers, ...rest } = extra
  return decodedModel({
    inputs: { x: ['float32', ['n', depth]] },
    outputs: { y: ['float32'] },
    nodes,
    ...rest,
    initializers: { w: weight, ...initializers },
  })
}

const product = () => modelOf([['MatMul', ['x', 'w'], ['y'], {}, 'product']])

async function similarity(one: Model, other: Model, feeds = { x }): Promise<number> {
  return cosine(numbers((await runModel(one, feeds))['y']), numbers((await runModel(other, feeds))['y']))
}

describe.each(['rtn', 'hqq', 'gptq'])('%s', (method) => {
  test.each([
    [8, 0.9999],
    [4, 0.993],
    [2, 0.85],
  ])('%s bits stay near', async (bits, least) => {
    const calibration = await datasetOf({ x: floats([100, depth], (index) => noise(index, 5)) })
    const { model } = await applyPass('quantize.weights', product(), { ...everything, method, bits }, { calibration })
    expect(countOps(model)).toEqual({ MatMulNBits: 1 })
    expect(await similarity(product(), model)).toBeGreaterThan(least)
    await calibration.close()
  })
})

describe.each([2, 4, 8] as const)('%s bits', (bits) => {
  test.each([
    ['rtn', true],
    ['rtn', false],
    ['hqq', false],
  ] as const)(
    '%s, symmetric %s: the runtime multiplies by exactly the weights we decode',
    async (method, symmetric) => {
      const [rows, inner, blockSize] = [9, 72, 32]
      const source = floats([inner, rows], (index) => noise(index, 2))
      const layout = { bits, rows, depth: inner, blockSize } as const
      const matrix = Float32Array.from({ length: rows * inner }, (_, index) => {
        return numbers(source)[(index % inner) * rows + Math.floor(index / inner)] as number
      })
      const blocks = method === 'hqq' ? halfQuadratic(matrix, layout) : roundToNearest(matrix, layout, symmetric)
      const decoded = decodeBlocks(blocks)
      const original = modelOf([['MatMul', ['x', 'w'], ['y']]], {
        inputs: { x: ['float32', ['n', inner]] },
        initializers: { w: source },
      })
      const { model } = await applyPass('quantize.weights', original, {
        ...everything,
        bits,
        method,
        symmetric,
        blockSize,
      })
      // Rows of the identity show the weights themselves.
      const identity = floats([inner, inner], (index) => (index % (inner + 1) === 0 ? 1 : 0))
      const shown = numbers((await runModel(model, { x: identity }))['y'])
      shown.forEach((value, index) => {
        const [depthIndex, row] = [Math.floor(index / rows), index % rows]
        expect(value).toBeCloseTo(decoded[row * inner + depthIndex] as number, 6)
      })
    },
  )
})

test.each([16, 32, 64, 128, 256])('blocks of %s, also where they do not divide the depth', async (blockSize) => {
  const original = modelOf([['MatMul', ['x', 'w'], ['y']]], {
    inputs: { x: ['float32', ['n', 40]] },
    initializers: { w: floats([40, 9], (index) => noise(index, 2)) },
  })
  const feeds = { x: floats([2, 40], (index) => noise(index)) }
  for (const symmetric of [true, false]) {
    const { model } = await applyPass('quantize.weights', original, {
      ...everything,
      method: 'rtn',
      bits: 8,
      blockSize,
      symmetric,
    })
    expect(await similarity(original, model, feeds)).toBeGreaterThan(0.9998)
  }
})

test.each([
  ['plain', {}, [depth, 48], [48]],
  ['transB', { transB: 1 }, [48, depth], [48]],
  ['alpha and beta', { alpha: 0.5, beta: 2 }, [depth, 48], [48]],
  ['bias of dims [1, N]', {}, [depth, 48], [1, 48]],
] as const)('a Gemm with %s', async (_what, attributes, dims, biasDims) => {
  const initializers = { w: floats(dims, (index) => noise(index, 3)), b: floats(biasDims, (index) => noise(index, 4)) }
  const original = modelOf([['Gemm', ['x', 'w', 'b'], ['y'], attributes]], { initializers })
  const { model } = await applyPass('quantize.weights', original, { ...everything, bits: 8 })
  expect(countOps(model)).toEqual({ MatMulNBits: 1 })
  expect(await similarity(original, model)).toBeGreaterThan(0.9999)
})

test('int8 activations cost little; the level is in the node', async () => {
  const { model, notes } = await applyPass('quantize.weights', product(), { ...everything, accuracyLevel: 'int8' })
  expect(getInt([...allNodes(model)][0]!, 'accuracy_level')).toBe(4)
  expect(notes[0]?.reason).toContain('int8')
  expect(await similarity(product(), model)).toBeGreaterThan(0.99)
})

test('a table of embeddings is gathered in blocks', async () => {
  const table = floats([10, 48], (index) => noise(index, 6))
  const original = modelOf([['Gather', ['table', 'i'], ['y'], {}, 'embedding']], {
    inputs: { i: ['int64', ['n', 's']] },
    initializers: { table },
  })
  const feeds = { i: int64s([2, 2], [0, 9, -1, 3]) }
  for (const bits of [2, 4, 8]) {
    const { model, notes } = await applyPass('quantize.weights', original, { ...everything, bits })
    expect(countOps(model)).toEqual({ GatherBlockQuantized: 1 })
    expect(notes).toMatchObject([{ node: 'embedding', action: 'done' }])
    const [before, after] = [await runModel(original, feeds), await runModel(model, feeds)]
    expect(after['y']?.dims).toEqual([2, 2, 48])
    expect(cosine(numbers(before['y']), numbers(after['y']))).toBeGreaterThan(bits === 2 ? 0.85 : 0.99)
  }
})

test('a weight that two nodes share is stored once, in a branch too', async () => {
  const branch = (scale: string): NodeSpec => ['MatMul', ['x', 'w'], [scale]]
  const original = modelOf(
    [
      ['MatMul', ['x', 'w'], ['a']],
      ['ReduceMax', ['x'], ['top'], { keepdims: 0 }],
      ['Greater', ['top', 'limit'], ['flag']],
      [
        'If',
        ['flag'],
        ['c'],
        {
          then_branch: { graph: { outputs: { t: ['float32'] }, nodes: [branch('t')] } },
          else_branch: { graph: { outputs: { e: ['float32'] }, nodes: [branch('e')] } },
        },
      ],
      ['Add', ['a', 'c'], ['y']],
    ],
    { initializers: { limit: floats([], [0]) } },
  )
  const { model } = await applyPass('quantize.weights', original, { ...everything, bits: 8 })
  expect(countOps(model)).toMatchObject({ MatMulNBits: 3 })
  expect([...model.graph.initializers].filter(({ initializer }) => initializer?.dtype === 'uint8')).toHaveLength(2)
  expect(await similarity(original, model)).toBeGreaterThan(0.9999)
  expect(encodeModel(model).byteLength).toBeLessThan(encodeModel(original).byteLength / 2)
})

test('the level is measured, once for each shape, and never left unset', async () => {
  const original = modelOf(
    [
      ['MatMul', ['x', 'w'], ['a'], {}, 'one'],
      ['MatMul', ['x', 'w2'], ['b'], {}, 'two'],
      ['Add', ['a', 'b'], ['y']],
    ],
    { initializers: { w2: floats([depth, 48], (index) => noise(index, 7)) } },
  )
  const timed: string[] = []
  const measure = (modelPath: string) => {
    const level = /level-(\d)/.exec(modelPath)?.[1]
    timed.push(level ?? 'float')
    const medianMs = { '1': 5, '4': 1 }[level ?? ''] ?? 2
    return Promise.resolve([{ medianMs, speedup: { low: 1, high: 1 } }])
  }
  const { model, notes, warnings } = await applyPass('quantize.weights', original, { minElements: 0 }, { measure })
  expect(timed).toEqual(['float', '1', '4'])
  const levels = [...allNodes(model)].filter(({ opType }) => opType === 'MatMulNBits')
  expect(levels.map((node) => getInt(node, 'accuracy_level'))).toEqual([4, 4])
  expect(notes[0]?.reason).toContain('1.000 ms against 2.000 ms with float weights (1x64x48')
  expect(warnings).toEqual([])
})

test('a product that is slower than with float weights is told of', async () => {
  const measure = (modelPath: string) =>
    Promise.resolve([{ medianMs: modelPath.includes('float') ? 1 : 3, speedup: { low: 1, high: 1 } }])
  const { model, warnings } = await applyPass('quantize.weights', product(), { minElements: 0 }, { measure })
  expect(warnings?.map(({ code }) => code)).toEqual(['compression_only'])
  expect(getInt([...allNodes(model)][0]!, 'accuracy_level')).toBe(1)
  const options = { minElements: 0, onlyFaster: true }
  expect(await applyPass('quantize.weights', product(), options, { measure })).toMatchObject({
    modified: false,
    notes: [{ node: 'product', action: 'skipped', reason: expect.stringContaining('3.000 ms against 1.000 ms') }],
  })
})

test('rows are those of a run of the target', async () => {
  const measure = () => Promise.resolve([{ medianMs: 1, speedup: { low: 1, high: 1 } }])
  const target = { device: 'cpu', isa: ['avx2'], batch: 5 }
  const calibration = await datasetOf({ x: floats([9, depth], (index) => noise(index)) })
  for (const context of [
    { measure, target },
    { measure, target, calibration },
  ]) {
    const { notes } = await applyPass('quantize.weights', product(), { minElements: 0 }, context)
    expect(notes[0]?.reason).toContain('(5x64x48')
  }
  await calibration.close()
})

test('without a measure of the caller it measures itself', async () => {
  const { notes } = await applyPass('quantize.weights', product(), { minElements: 0, measureMs: 150 })
  expect(notes[0]?.reason).toMatch(/\d ms against \d.*measured on this host/)
})

test('gptq needs a dataset with more rows than the product has inputs', async () => {
  const options = { ...everything, method: 'gptq' }
  await expect(applyPass('quantize.weights', product(), options)).rejects.toMatchObject({ code: 'dataset_needed' })
  const calibration = await datasetOf({ x: floats([depth, depth], (index) => noise(index)) })
  const { modified, notes } = await applyPass('quantize.weights', product(), options, { calibration })
  expect(modified).toBe(false)
  expect(notes.map(({ reason }) => reason)).toEqual([
    'gptq needs more rows of calibration than the 64 inputs it has, there are 64: use hqq',
  ])
  await calibration.close()
})

test('an aborted pass stops between weights', async () => {
  const controller = new AbortController()
  const progress = () => controller.abort(new Error('enough'))
  const running = applyPass('quantize.weights', product(), everything, { signal: controller.signal, progress })
  await expect(running).rejects.toThrow('enough')
})

test('a second run changes nothing', async () => {
  const first = await applyPass('quantize.weights', product(), everything)
  const second = await applyPass('quantize.weights', first.model, everything)
  expect(second).toMatchObject({ modified: false, notes: [] })
  expect(second.model).toBe(first.model)
})

test.each<[string, NodeSpec[], Partial<ModelSpec>, Record<string, unknown>, string]>([
  [
    'two activations',
    [['MatMul', ['x', 'z'], ['y']]],
    { inputs: { x: ['float32', ['n', depth]], z: ['float32', [depth, 4]] } },
    everything,
    'both its inputs are activations',
  ],
  [
    'a vector',
    [['MatMul', ['x', 'w'], ['y']]],
    { inputs: { x: ['float32', [depth]] } },
    everything,
    'its input has one axis',
  ],
  [
    'a small weight',
    [['MatMul', ['x', 'w'], ['y']]],
    {},
    { minElements: 4096 },
    'its weight has 3072 elements, fewer than 4096',
  ],
  [
    'an excluded node',
    [['MatMul', ['x', 'w'], ['y'], {}, 'head']],
    {},
    { exclude: ['head'] },
    'excluded by the options',
  ],
  [
    'columns of a table',
    [['Gather', ['w', 'i'], ['y'], { axis: 1 }]],
    { inputs: { i: ['int64', [2]] } },
    everything,
    'it does not gather rows',
  ],
  [
    'a table that is multiplied with as well',
    [
      ['Gather', ['w', 'i'], ['a']],
      ['Neg', ['w'], ['b']],
      ['Add', ['a', 'b'], ['y']],
    ],
    { inputs: { i: ['int64', [1]] } },
    everything,
    'its table is also read as a whole, so the float one would have to stay',
  ],
  [
    'a table of odd rows',
    [['Gather', ['t', 'i'], ['y']]],
    { inputs: { i: ['int64', [1]] }, initializers: { t: floats([4, 5], () => 1) } },
    everything,
    'its rows of 5 do not fill whole bytes with 4 bits each',
  ],
])('%s stays float, with its reason', async (_what, nodes, extra, options, reason) => {
  const { notes, modified } = await applyPass('quantize.weights', modelOf(nodes, extra), options)
  expect(modified).toBe(false)
  expect(notes.map((note) => note.reason)).toEqual([reason])
})
