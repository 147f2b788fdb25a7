import { constantValue } from '../../../src/engine/ops/index.ts'
import { describe, expect, test } from 'vitest'
import type { Model } from '../../../src/engine/ir/model.ts'
import { viewOf, type Tensor } from '../../../src/engine/ir/tensor.ts'
import { encodeModel, loadModel } from '../../../src/engine/onnx/index.ts'
import type { Feeds } from '../../../src/engine/runtime/port.ts'
import { decodedModel, ocrModels, type ModelSpec } from '../../support/models.ts'
import {
  applyPass,
  cosine,
  countOps,
  floats,
  int64s,
  noise,
  numbers,
  optimizedByRuntime,
  runModel,
  type NodeSpec,
} from './support.ts'

const x = floats([3, 8], (index) => noise(index))
const weight = floats([8, 16], (index) => noise(index, 2))

function modelOf(nodes: NodeSpec[], extra: Partial<ModelSpec> = {}): Model {
  const { initializers, ...rest } = extra
  return decodedModel({
    inputs: { x: ['float32', ['n', 8]] },
    outputs: { y: ['float32'] },
    nodes,
    ...rest,
    initializers: { w: weight, ...initializers },
  })
}

// 7-bit weights: with 8 the sums saturate on CPUs without VNNI, and the tests must hold on any.
const everything = { minElements: 0, reduceRange: 'always' }

/** What DynamicQuantizeLinear and int8 weights give, computed here in integers. */
function reference(input: Tensor, weights: Tensor, columns: number): number[] {
  const [values, w] = [numbers(input), numbers(weights)]
  const low = Math.min(0, ...values)
  const high = Math.max(0, ...values)
  const scale = Math.fround((high - low) / 255)
  const zero = Math.round(-low / scale)
  const q = values.map((value) => Math.min(255, Math.max(0, Math.round(value / scale) + zero)))
  const depth = w.length / columns
  const scales = Array.from(
    { length: columns },
    (_, column) => Math.max(...w.map((value, index) => (index % columns === column ? Math.abs(value) : 0))) / 64,
  )
  const qw = w.map((value, index) => Math.round(value / (scales[index % columns] as number)))
  return Array.from({ length: (values.length / depth) * columns }, (_, index) => {
    const [row, column] = [Math.floor(index / columns), index % columns]
    let sum = 0
    for (let k = 0; k < depth; k += 1)
      sum += ((q[row * depth + k] as number) - zero) * (qw[k * columns + column] as number)
    return sum * scale * (scales[column] as number)
  })
}

test('a MatMul gives what the integers give', async () => {
  const { model, notes } = await applyPass(
    'quantize.dynamic',
    modelOf([['MatMul', ['x', 'w'], ['y'], {}, 'product']]),
    everything,
  )
  expect(countOps(model)).toEqual({ DynamicQuantizeLinear: 1, MatMulInteger: 1, Cast: 1, Mul: 2 })
  expect(notes).toEqual([{ node: 'product', op: 'MatMul', action: 'done', reason: expect.any(String) }])
  const expected = reference(x, weight, 16)
  for (const level of ['disabled', 'all'] as const) {
    const { y } = await runModel(model, { x }, { optimizationLevel: level })
    numbers(y).forEach((value, index) => expect(value).toBeCloseTo(expected[index] as number, 4))
  }
})

test('values that are integers already stay exact', async () => {
  // Weights of −1, 0 and 1 and inputs of 0, 51 and 255 are whole steps, so nothing is rounded.
  const exact = floats([8, 4], (index) => ((index * 7) % 3) - 1)
  const input = floats([2, 8], (index) => [0, 51, 255][(index * 5) % 3] as number)
  const original = modelOf([['MatMul', ['x', 'w'], ['y']]], { initializers: { w: exact } })
  const { model } = await applyPass('quantize.dynamic', original, everything)
  const [before, after] = [await runModel(original, { x: input }), await runModel(model, { x: input })]
  numbers(after['y']).forEach((value, index) => expect(value).toBeCloseTo(numbers(before['y'])[index] as number, 2))
})

test.each([
  ['plain', {}, [8, 16], [16]],
  ['transB', { transB: 1 }, [16, 8], [16]],
  ['alpha and beta', { alpha: 0.5, beta: 2 }, [8, 16], [16]],
  ['bias of dims [1, N]', {}, [8, 16], [1, 16]],
  ['bias of one number', {}, [8, 16], []],
] as const)('a Gemm with %s', async (_what, attributes, dims, biasDims) => {
  const initializers = { w: floats(dims, (index) => noise(index, 3)), b: floats(biasDims, (index) => noise(index, 4)) }
  const original = modelOf([['Gemm', ['x', 'w', 'b'], ['y'], attributes]], { initializers })
  const { model } = await applyPass('quantize.dynamic', original, everything)
  expect(countOps(model)).toEqual({ DynamicQuantizeLinear: 1, MatMulInteger: 1, Cast: 1, Mul: 2, Add: 1 })
  const [before, after] = [
    numbers((await runModel(original, { x }))['y']),
    numbers((await runModel(model, { x }))['y']),
  ]
  expect(cosine(before, after)).toBeGreaterThan(0.999)
})

test('two products of one value share its quantization', async () => {
  const original = modelOf([
    ['MatMul', ['x', 'w'], ['a']],
    ['MatMul', ['x', 'w'], ['b']],
    ['Add', ['a', 'b'], ['y']],
  ])
  const { model } = await applyPass('quantize.dynamic', original, everything)
  expect(countOps(model)).toMatchObject({ DynamicQuantizeLinear: 1, MatMulInteger: 2 })
})

async function similarity(one: Model, other: Model, feeds: Feeds): Promise<number> {
  return cosine(numbers((await runModel(one, feeds))['y']), numbers((await runModel(other, feeds))['y']))
}

test.each<[string, NodeSpec[], Partial<ModelSpec>, Record<string, unknown>, string]>([
  [
    'two activations',
    [['MatMul', ['x', 'z'], ['y']]],
    { inputs: { x: ['float32', ['n', 8]], z: ['float32', [8, 4]] } },
    everything,
    'both its inputs are activations',
  ],
  [
    'a weight on the left',
    [['MatMul', ['w', 'x'], ['y']]],
    { inputs: { x: ['float32', [16, 'n']] } },
    everything,
    'its weight is not its second input',
  ],
  ['a small weight', [['MatMul', ['x', 'w'], ['y']]], {}, {}, 'its weight has 128 elements, fewer than 1024'],
  [
    'an excluded node',
    [['MatMul', ['x', 'w'], ['y'], {}, 'head']],
    {},
    { ...everything, exclude: ['head'] },
    'excluded by the options',
  ],
  [
    'a GRU',
    [['GRU', ['x', 'w3', 'w3'], ['y'], { hidden_size: 8 }]],
    { inputs: { x: ['float32', ['t', 1, 8]] }, initializers: { w3: floats([1, 24, 8], (index) => noise(index)) } },
    everything,
    'ONNX Runtime has no int8 GRU',
  ],
  [
    'an LSTM whose weights are inputs',
    [['LSTM', ['x', 'r', 'r'], ['y'], { hidden_size: 8 }]],
    { inputs: { x: ['float32', ['t', 1, 8]], r: ['float32', [1, 32, 8]] } },
    everything,
    'its weights are not constant',
  ],
  [
    'a table that is read as a whole',
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
    'a bias that is an input',
    [['Gemm', ['x', 'w', 'b'], ['y']]],
    { inputs: { x: ['float32', ['n', 8]], b: ['float32', [16]] } },
    everything,
    'its bias is not a constant',
  ],
  [
    'a bias per element',
    [['Gemm', ['x', 'w', 'b'], ['y']]],
    { initializers: { b: floats([3, 16], () => 1) } },
    everything,
    'its bias is not one number per channel',
  ],
  [
    'a weight with an infinity',
    [['MatMul', ['x', 'w'], ['y']]],
    { initializers: { w: floats([8, 2], () => Number.POSITIVE_INFINITY) } },
    everything,
    'its weight is not finite',
  ],
])('%s stays float, with its reason', async (_what, nodes, extra, options, reason) => {
  const { notes, modified } = await applyPass('quantize.dynamic', modelOf(nodes, extra), options)
  expect(modified).toBe(false)
  expect(notes.map((note) => note.reason)).toEqual([reason])
})

test('a Gemm with a transposed input is transposed first', async () => {
  const original = modelOf([['Gemm', ['x', 'w', 'b'], ['y'], { transA: 1 }]], {
    inputs: { x: ['float32', [8, 'n']] },
    initializers: { b: floats([16], (index) => noise(index, 4)) },
  })
  const { model } = await applyPass('quantize.dynamic', original, everything)
  expect(countOps(model)).toMatchObject({ Transpose: 1, MatMulInteger: 1, Add: 1 })
  expect(await similarity(original, model, { x: floats([8, 3], (index) => noise(index)) })).toBeGreaterThan(0.999)
})

test.each([[[2, 8, 6]], [[3, 2, 8, 6]]])('a stack of matrices %s has scales of its own each', async (dims) => {
  const large = (index: number) => (index < 48 ? 100 : 1)
  const stack = floats(dims, (index) => noise(index, 5) * large(index))
  const original = modelOf([['MatMul', ['x', 'w'], ['y']]], {
    inputs: { x: ['float32', [...dims.slice(0, -2), 'n', 8]] },
    initializers: { w: stack },
  })
  const feeds = { x: floats([...dims.slice(0, -2), 3, 8], (index) => noise(index)) }
  for (const perChannel of [true, false]) {
    const { model } = await applyPass('quantize.dynamic', original, { ...everything, perChannel })
    expect(countOps(model)).toMatchObject({ MatMulInteger: 1 })
    const [before, after] = [await runModel(original, feeds), await runModel(model, feeds)]
    expect(after['y']?.dims).toEqual(before['y']?.dims)
    // The matrices of small weights by themselves: one scale for all would leave nothing of them.
    expect(cosine(numbers(before['y']).slice(18), numbers(after['y']).slice(18))).toBeGreaterThan(0.999)
  }
})

describe('LSTM', () => {
  const hidden = 8
  const sequence = floats([5, 2, 8], (index) => noise(index))
  const lstm = (attributes: object, directions: number, extra: string[] = []): Model =>
    modelOf([['LSTM', ['x', 'W', 'R', 'B', ...extra], ['y', 'h', 'c'], { hidden_size: hidden, ...attributes }]], {
      inputs: { x: ['float32', ['t', 2, 8]] },
      outputs: { y: ['float32'], h: ['float32'], c: ['float32'] },
      initializers: {
        W: floats([directions, 4 * hidden, 8], (index) => noise(index, 2)),
        R: floats([directions, 4 * hidden, hidden], (index) => noise(index, 3)),
        B: floats([directions, 8 * hidden], (index) => noise(index, 4) / 4),
        start: floats([directions, 2, hidden], (index) => noise(index, 6)),
        P: floats([directions, 3 * hidden], (index) => noise(index, 7) / 4),
      },
    })

  test.each([
    ['forward', {}, 1, []],
    ['reverse', { direction: 'reverse' }, 1, []],
    ['bidirectional', { direction: 'bidirectional' }, 2, []],
    ['with a first state and peepholes', {}, 1, ['', 'start', 'start', 'P']],
  ] as const)('%s', async (_what, attributes, directions, extra) => {
    const original = lstm(attributes, directions, [...extra])
    for (const perGate of [true, false]) {
      const { model, notes } = await applyPass('quantize.dynamic', original, { ...everything, perGate })
      expect(countOps(model)).toEqual({ DynamicQuantizeLSTM: 1 })
      const [node] = [...model.graph.nodes]
      expect(constantValue(node?.inputs[8])?.dims).toEqual(perGate ? [directions, 4 * hidden] : [directions])
      expect(notes).toMatchObject([{ op: 'LSTM', action: 'done' }])
      const [before, after] = [await runModel(original, { x: sequence }), await runModel(model, { x: sequence })]
      expect(Object.keys(after)).toEqual(['y', 'h', 'c'])
      for (const name of ['y', 'h', 'c']) {
        expect(after[name]?.dims).toEqual(before[name]?.dims)
        expect(cosine(numbers(before[name]), numbers(after[name]))).toBeGreaterThan(0.995)
      }
    }
  })

  test('one that gives its last state only keeps its readers', async () => {
    const original = modelOf(
      [
        ['LSTM', ['x', 'W', 'R'], ['', 'h'], { hidden_size: hidden }],
        ['Squeeze', ['h', 'first'], ['y']],
      ],
      {
        inputs: { x: ['float32', ['t', 2, 8]] },
        initializers: {
          W: floats([1, 4 * hidden, 8], (index) => noise(index, 2)),
          R: floats([1, 4 * hidden, hidden], (index) => noise(index, 3)),
          first: int64s([1], [0]),
        },
      },
    )
    const { model } = await applyPass('quantize.dynamic', original, everything)
    expect(countOps(model)).toEqual({ DynamicQuantizeLSTM: 1, Squeeze: 1 })
    expect(await similarity(original, model, { x: sequence })).toBeGreaterThan(0.995)
  })
})

test('rows of an int8 table become float again; the table is a quarter', async () => {
  const table = floats([50, 32], (index) => noise(index, 6))
  const original = modelOf([['Gather', ['table', 'i'], ['y']]], {
    inputs: { i: ['int64', ['n', 's']] },
    initializers: { table },
  })
  const feeds = { i: int64s([2, 2], [0, 49, -1, 3]) }
  for (const perChannel of [true, false]) {
    const { model } = await applyPass('quantize.dynamic', original, { ...everything, perChannel })
    expect(countOps(model)).toEqual({ Gather: 1, DequantizeLinear: 1 })
    const [before, after] = [
      numbers((await runModel(original, feeds))['y']),
      numbers((await runModel(model, feeds))['y']),
    ]
    // Half a step of 1/127.
    after.forEach((value, index) => expect(Math.abs(value - (before[index] as number))).toBeLessThanOrEqual(0.5 / 127))
    expect(encodeModel(model).byteLength).toBeLessThan(encodeModel(original).byteLength / 2)
  }
})

test('a weight that several nodes read, also in branches, is quantized once', async () => {
  const branch = (output: string) => ({
    graph: { outputs: { [output]: ['float32'] as ['float32'] }, nodes: [['MatMul', ['x', 'w'], [output]] as NodeSpec] },
  })
  const original = modelOf(
    [
      ['MatMul', ['x', 'w'], ['a']],
      ['ReduceMax', ['x'], ['top'], { keepdims: 0 }],
      ['Greater', ['top', 'limit'], ['flag']],
      ['If', ['flag'], ['c'], { then_branch: branch('t'), else_branch: branch('e') }],
      ['Add', ['a', 'c'], ['y']],
    ],
    { initializers: { limit: floats([], [0]) } },
  )
  const { model } = await applyPass('quantize.dynamic', original, everything)
  expect(countOps(model)).toMatchObject({ MatMulInteger: 3 })
  const weights = [...model.graph.initializers].filter(({ initializer }) => initializer?.dims.length === 2)
  expect(weights.map(({ initializer }) => initializer?.dtype)).toEqual(['int8'])
  expect(await similarity(original, model, { x })).toBeGreaterThan(0.999)
})

test('weights in Constant nodes are found without another pass before', async () => {
  const original = modelOf([
    ['Constant', [], ['k'], { value: weight }],
    ['MatMul', ['x', 'k'], ['y']],
  ])
  expect(countOps((await applyPass('quantize.dynamic', original, everything)).model)).toMatchObject({
    MatMulInteger: 1,
  })
})

test('per tensor there is one scale; with reduced range weights have 7 bits', async () => {
  const original = modelOf([['MatMul', ['x', 'w'], ['y']]])
  const { model } = await applyPass('quantize.dynamic', original, {
    ...everything,
    perChannel: false,
    reduceRange: 'always',
  })
  const tensors = [...model.graph.initializers].map(({ initializer }) => initializer as Tensor)
  expect(tensors.filter(({ dtype }) => dtype === 'float32').map(({ dims }) => dims)).toEqual([[]])
  const quantized = tensors.find(({ dtype, dims }) => dtype === 'int8' && dims.length === 2) as Tensor
  expect(Math.max(...viewOf(quantized, 'int8').map(Math.abs))).toBe(64)
})

test('a second run changes nothing', async () => {
  const first = await applyPass('quantize.dynamic', modelOf([['Gemm', ['x', 'w'], ['y']]]), everything)
  const second = await applyPass('quantize.dynamic', first.model, everything)
  expect(second.modified).toBe(false)
  expect(second.model).toBe(first.model)
})

test('a host without 8-bit dot products is warned of, and gets 7-bit weights', async () => {
  const original = modelOf([['MatMul', ['x', 'w'], ['y']]])
  const run = (isa: string[], device = 'cpu') =>
    applyPass('quantize.dynamic', original, { minElements: 0 }, { target: { device, isa } })
  const codes = async (isa: string[], device?: string) => (await run(isa, device)).warnings?.map(({ code }) => code)
  expect(await codes(['avx2'])).toEqual(['int8_not_accelerated'])
  expect(await codes(['avx2', 'avx_vnni'])).toEqual([])
  expect(await codes(['asimd', 'asimddp'])).toEqual([])
  expect(await codes([])).toEqual([])
  expect(await codes(['avx2'], 'cuda')).toEqual([])
  const { model } = await run(['avx2'])
  const quantized = [...model.graph.initializers].find(({ initializer }) => initializer?.dims.length === 2)
    ?.initializer as Tensor
  expect(Math.max(...viewOf(quantized, 'int8').map(Math.abs))).toBe(64)
})

test('PP-OCR rec: the runtime fuses every product, none of the Convs is touched', async () => {
  const original = await loadModel(ocrModels.rec)
  const { model, notes } = await applyPass(
    'quantize.dynamic',
    original,
    {},
    { target: { device: 'cpu', isa: ['avx2'] } },
  )
  expect(countOps(model)).toMatchObject({ MatMulInteger: 9, MatMul: 4, Conv: 38 })
  expect(notes.filter(({ action }) => action === 'skipped').map(({ reason }) => reason)).toEqual(
    Array.from({ length: 4 }, () => 'both its inputs are activations'),
  )
  const optimized = countOps(await optimizedByRuntime(model))
  expect((optimized['DynamicQuantizeMatMul'] ?? 0) + (optimized['MatMulIntegerToFloat'] ?? 0)).toBe(9)
  expect(optimized['MatMulInteger']).toBeUndefined()
  const feeds = { x: floats([1, 3, 48, 64], (index) => noise(index)) }
  const [before, after] = [
    Object.values(await runModel(original, feeds)),
    Object.values(await runModel(model, feeds, {})),
  ]
  expect(numbers(after[0]).every(Number.isFinite)).toBe(true)
  expect(cosine(numbers(before[0]), numbers(after[0]))).toBeGreaterThan(0.99)
})
