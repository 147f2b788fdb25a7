import { expect, test } from 'vitest'
import type { Model } from '../../../src/engine/ir/model.ts'
import { viewOf, type Tensor } from '../../../src/engine/ir/tensor.ts'
import { loadModel } from '../../../src/engine/onnx/index.ts'
import { decodedModel, ocrModels, type ModelSpec } from '../../support/models.ts'
import {
  applyPass,
  cosine,
  countOps,
  floats,
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
  [
    'a weight of three axes',
    [['MatMul', ['x', 'w'], ['y']]],
    { initializers: { w: floats([2, 8, 4], () => 1) } },
    everything,
    'its weight has 3 axes, not 2',
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
    'a transposed input',
    [['Gemm', ['x', 'w'], ['y'], { transA: 1 }]],
    { inputs: { x: ['float32', [8, 'n']] } },
    everything,
    'its first input is transposed',
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
