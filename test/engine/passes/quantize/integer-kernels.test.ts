import { expect, test } from 'vitest'
import type { Model } from '../../../../src/engine/ir/model.ts'
import type { Node } from '../../../../src/engine/ir/graph.ts'
import { viewOf, type Tensor } from '../../../../src/engine/ir/tensor.ts'
import { decodedModel, type ModelSpec } from '../../../support/models.ts'
import { countOps, floats, numbers, optimizedByRuntime, runModel, type NodeSpec } from '../support.ts'
import {
  integerAdd,
  integerConv,
  integerMatMul,
  type Output,
  type Quantized,
  type QuantizedWeights,
} from './integer-kernels.ts'
import { quantize } from './support.ts'

/** Repeatable integers from low to high. */
function integers(count: number, low: number, high: number, seed: number): number[] {
  let state = seed
  return Array.from({ length: count }, () => {
    state = (state * 48271) % 2147483647
    return low + (state % (high - low + 1))
  })
}

function tensorOfIntegers(dims: readonly number[], low: number, high: number, seed: number, scale: number): Tensor {
  const count = dims.reduce((product, dim) => product * dim, 1)
  const values = integers(count, low, high, seed).map((value) => value * scale)
  // Both ends occur, so that the ranges, and so the scales, are exactly those of the integers.
  values[0] = low * scale
  values[1] = high * scale
  return floats(dims, values)
}

/** Weights whose channels, along an axis, have scales of different powers of two, each with its extreme in it. */
function exactWeights(dims: readonly number[], axis: number, limit: number): Tensor {
  const inner = dims.slice(axis + 1).reduce((product, dim) => product * dim, 1)
  const seen = new Set<number>()
  const count = dims.reduce((product, dim) => product * dim, 1)
  return floats(
    dims,
    integers(count, -limit, limit, 11).map((value, index) => {
      const channel = Math.floor(index / inner) % (dims[axis] as number)
      const extreme = seen.has(channel) ? value : limit
      seen.add(channel)
      return (extreme / 64) * 2 ** -(channel % 3)
    }),
  )
}

/** Constants of the Q or DQ node that a value comes from. */
function constants(node: Node | undefined) {
  const [data, scale, zero] = (node?.inputs ?? []).map((value) => value?.initializer)
  const zeroPoint = zero === undefined ? 0 : Number(viewOf(zero)[0])
  const [low, high] = zero?.dtype === 'int8' ? ([-128, 127] as const) : ([0, 255] as const)
  return { data: data as Tensor, scales: numbers(scale), zeroPoint, low, high }
}

interface Layer {
  readonly input: Quantized
  readonly weights: QuantizedWeights
  readonly bias: readonly number[]
  readonly output: Output
}

/** What the pass made of the one layer of a model, as integers. */
function readLayer(model: Model, x: Tensor): Layer {
  const layer = [...model.graph.nodes].find(({ name }) => name === 'layer')
  const [input, weight, bias] = (layer?.inputs ?? []).map((value) => constants(value?.producer))
  const { scales, zeroPoint } = input as ReturnType<typeof constants>
  const values = numbers(x).map((value) => Math.round(value / (scales[0] as number)) + zeroPoint)
  const result = constants(
    [...(layer?.outputs[0]?.uses ?? [])].find(({ node }) => node.opType === 'QuantizeLinear')?.node,
  )
  const { data } = weight as ReturnType<typeof constants>
  return {
    input: { values, dims: x.dims, scale: scales[0] as number, zeroPoint },
    weights: {
      values: Array.from(viewOf(data, data.dtype as 'int8' | 'uint8')),
      dims: data.dims,
      scales: weight?.scales as number[],
      zeroPoint: weight?.zeroPoint ?? 0,
    },
    bias: bias === undefined ? [] : Array.from(viewOf(bias.data, 'int32')),
    output: {
      scale: result.scales[0] as number,
      zeroPoint: result.zeroPoint,
      low: result.low,
      high: result.high,
    },
  }
}

/** The integers that the runtime's optimized graph gives, from the floats they stand for. */
async function runtimeIntegers(model: Model, x: Tensor, { scale, zeroPoint }: Output): Promise<number[]> {
  const { y } = await runModel(model, { x }, { optimizationLevel: 'all', intraOpThreads: 1 })
  return numbers(y).map((value) => Math.round(value / scale) + zeroPoint)
}

function modelOf(nodes: NodeSpec[], dims: (number | string)[], initializers: NonNullable<ModelSpec['initializers']>) {
  return decodedModel({
    inputs: { x: ['float32', dims] },
    outputs: { y: ['float32'] },
    initializers,
    nodes,
  })
}

const limit = 64
const schemes = [
  ['uint8', true],
  ['uint8', false],
  ['int8', true],
  ['int8', false],
] as const

function inputOf(dims: readonly number[], dtype: 'uint8' | 'int8'): Tensor {
  return dtype === 'uint8' ? tensorOfIntegers(dims, -55, 200, 5, 1 / 32) : tensorOfIntegers(dims, -127, 127, 5, 1 / 32)
}

test.each(schemes)('QLinearConv with %s activations, per channel %s, gives our integers', async (dtype, perChannel) => {
  for (const [group, pad, stride] of [
    [1, 1, 1],
    [2, 0, 2],
  ] as const) {
    const x = inputOf([2, 4, 7, 7], dtype)
    const w = exactWeights([6, 4 / group, 3, 3], 0, limit)
    const b = floats(
      [6],
      integers(6, -4000, 4000, 7).map((value) => value / 2048),
    )
    const attributes = { group, pads: [pad, pad, pad, pad], strides: [stride, stride] }
    const original = modelOf([['Conv', ['x', 'w', 'b'], ['y'], attributes, 'layer']], ['n', 4, 7, 7], { w, b })
    const { model } = await quantize(original, { activations: dtype, perChannel }, x)
    expect(countOps(await optimizedByRuntime(model))).toMatchObject({ QLinearConv: 1 })
    const { input, weights, bias, output } = readLayer(model, x)
    const expected = integerConv(input, weights, bias, output, { pad, stride, groups: group })
    expect(await runtimeIntegers(model, x, output)).toEqual(expected)
    expect(new Set(expected).size).toBeGreaterThan(50)
  }
})

test.each(schemes)(
  'QGemm and QLinearMatMul with %s activations, per channel %s, give our integers',
  async (dtype, perChannel) => {
    const x = inputOf([5, 24], dtype)
    const w = exactWeights([24, 10], 1, limit)
    const b = floats(
      [10],
      integers(10, -4000, 4000, 7).map((value) => value / 2048),
    )
    const second = exactWeights([10, 3], 1, limit)
    for (const [layer, kernel] of [
      [['Gemm', ['x', 'w', 'b'], ['m'], {}, 'layer'], 'QGemm'],
      [['MatMul', ['x', 'w'], ['m'], {}, 'layer'], 'QLinearMatMul'],
    ] as const) {
      const original = modelOf([layer as unknown as NodeSpec, ['MatMul', ['m', 'second'], ['y']]], ['n', 24], {
        w,
        b,
        second,
      })
      const { model } = await quantize(original, { activations: dtype, perChannel }, x)
      expect(countOps(await optimizedByRuntime(model))[kernel]).toBeGreaterThanOrEqual(1)
      const { input, weights, bias, output } = readLayer(model, x)
      const expected = integerMatMul(input, weights, bias, output)
      expect(await layerIntegers(model, x, output)).toEqual(expected)
      expect(new Set(expected).size).toBeGreaterThan(20)
    }
  },
)

/** The integers between the two layers: the output of the pair after the first, as a graph output. */
async function layerIntegers(model: Model, x: Tensor, output: Output): Promise<number[]> {
  const layer = [...model.graph.nodes].find(({ name }) => name === 'layer')
  const pair = [...(layer?.outputs[0]?.uses ?? [])].find(({ node }) => node.opType === 'QuantizeLinear')?.node
  const [back] = [...(pair?.outputs[0]?.uses ?? [])].map(({ node }) => node.outputs[0])
  if (back === undefined) throw new Error('the first layer gives no integers')
  model.graph.setOutput(0, back)
  model.graph.outputs[0]!.type = undefined
  const results = await runModel(model, { x }, { optimizationLevel: 'all', intraOpThreads: 1 })
  return numbers(Object.values(results)[0]).map((value) => Math.round(value / output.scale) + output.zeroPoint)
}

test.each([true, false])('halves go to the even integer, per channel %s', async (perChannel) => {
  const x = floats([256, 1], (index) => index)
  const w = floats([1, 2], [1, 0.5])
  const original = modelOf(
    [
      ['MatMul', ['x', 'w'], ['m'], {}, 'layer'],
      ['MatMul', ['m', 'second'], ['y']],
    ],
    ['n', 1],
    { w, second: exactWeights([2, 3], 1, limit) },
  )
  const { model } = await quantize(original, { perChannel }, x)
  const { output } = readLayer(model, x)
  const results = await layerIntegers(model, x, output)
  expect(results.slice(0, 12)).toEqual([0, 0, 1, 0, 2, 1, 3, 2, 4, 2, 5, 2])
})

test.each(['uint8', 'int8'] as const)('weights with a zero point, %s activations, give our integers', async (dtype) => {
  const asymmetric = { activations: dtype, weights: 'uint8', symmetricWeights: false, perChannel: false }
  const images = inputOf([2, 4, 5, 5], dtype)
  const filter = tensorOfIntegers([6, 4, 3, 3], -55, 200, 17, 1 / 64)
  const conv = modelOf([['Conv', ['x', 'w'], ['y'], {}, 'layer']], ['n', 4, 5, 5], { w: filter })
  const rows = inputOf([5, 24], dtype)
  const matrix = tensorOfIntegers([24, 10], -55, 200, 19, 1 / 64)
  const gemm = modelOf(
    [
      ['Gemm', ['x', 'w'], ['m'], {}, 'layer'],
      ['Gemm', ['m', 'second'], ['y']],
    ],
    ['n', 24],
    { w: matrix, second: tensorOfIntegers([10, 3], -55, 200, 23, 1 / 64) },
  )
  const convolved = readLayer((await quantize(conv, asymmetric, images)).model, images)
  expect(convolved.weights.zeroPoint).toBe(55)
  const { model } = await quantize(conv, asymmetric, images)
  expect(await runtimeIntegers(model, images, convolved.output)).toEqual(
    integerConv(convolved.input, convolved.weights, convolved.bias, convolved.output),
  )
  const multiplied = await quantize(gemm, asymmetric, rows)
  const { input, weights, bias, output } = readLayer(multiplied.model, rows)
  expect(await layerIntegers(multiplied.model, rows, output)).toEqual(integerMatMul(input, weights, bias, output))
})

/** Parameters of the pair on what a node of this name gives. */
function pairAfter(model: Model, name: string): Output {
  const node = [...model.graph.nodes].find((each) => each.name === name)
  const pair = [...(node?.outputs[0]?.uses ?? [])].find((use) => use.node.opType === 'QuantizeLinear')?.node
  const { scales, zeroPoint, low, high } = constants(pair)
  return { scale: scales[0] as number, zeroPoint, low, high }
}

/** A Conv that gives its input, and one that gives the channels in reverse. */
function selectors(channels: number): Record<'keep' | 'turn', Tensor> {
  const pick = (from: (channel: number) => number) =>
    floats([channels, channels, 1, 1], (index) => (index % channels === from(Math.floor(index / channels)) ? 1 : 0))
  return { keep: pick((channel) => channel), turn: pick((channel) => channels - 1 - channel) }
}

test.each(['uint8', 'int8'] as const)(
  'QLinearAdd with %s activations gives our integers, halves to even',
  async (dtype) => {
    const [low, high] = dtype === 'uint8' ? [-64, 191] : [-127, 127]
    const values = integers(2 * 4 * 5 * 5, low, high, 5)
    // Both extremes in both summands at once, so that the scale of the sum is twice theirs.
    for (const channel of [0, 3]) for (const [at, value] of [low, high].entries()) values[channel * 25 + at] = value
    const x = floats(
      [2, 4, 5, 5],
      values.map((value) => value / 32),
    )
    const original = modelOf(
      [
        ['Conv', ['x', 'keep'], ['a'], {}, 'one'],
        ['Conv', ['x', 'turn'], ['b'], {}, 'other'],
        ['Add', ['a', 'b'], ['s'], {}, 'layer'],
        ['Conv', ['s', 'keep'], ['y']],
      ],
      ['n', 4, 5, 5],
      selectors(4),
    )
    const { model } = await quantize(original, { activations: dtype }, x)
    expect(countOps(await optimizedByRuntime(model))).toMatchObject({ QLinearAdd: 1, QLinearConv: 3 })
    const [one, other, sum] = ['one', 'other', 'layer'].map((name) => pairAfter(model, name)) as [
      Output,
      Output,
      Output,
    ]
    expect([one.scale, other.scale, sum.scale]).toEqual([1 / 32, 1 / 32, 1 / 16])
    const turned = values.map(
      (_, index) =>
        values[Math.floor(index / 100) * 100 + (3 - (Math.floor(index / 25) % 4)) * 25 + (index % 25)] as number,
    )
    const quantized = (integersOf: readonly number[], params: Output) => ({
      values: integersOf.map((value) => value + params.zeroPoint),
      dims: x.dims,
      scale: params.scale,
      zeroPoint: params.zeroPoint,
    })
    const expected = integerAdd(quantized(values, one), quantized(turned, other), sum)
    expect(await layerIntegers(model, x, sum)).toEqual(expected)
    expect(values.filter((value, index) => (value + (turned[index] as number)) % 2 !== 0).length).toBeGreaterThan(20)
  },
)

test.each(['uint8', 'int8'] as const)('QLinearMatMul of two %s activations gives our integers', async (dtype) => {
  const x = inputOf([1, 1, 8, 8], dtype)
  const original = modelOf(
    [
      ['Conv', ['x', 'keep'], ['a'], {}, 'one'],
      ['Transpose', ['a'], ['t'], { perm: [0, 1, 3, 2] }, 'other'],
      ['MatMul', ['a', 't'], ['m'], {}, 'layer'],
      ['Conv', ['m', 'keep'], ['y']],
    ],
    ['n', 1, 8, 8],
    selectors(1),
  )
  const { model } = await quantize(original, { activations: dtype }, x)
  expect(countOps(await optimizedByRuntime(model))).toMatchObject({ QLinearMatMul: 1, QLinearConv: 2 })
  const [one, output] = ['one', 'layer'].map((name) => pairAfter(model, name)) as [Output, Output]
  const values = numbers(x).map((value) => Math.round(value / one.scale) + one.zeroPoint)
  const { scale, zeroPoint } = one
  const transposed = values.map((_, index) => values[(index % 8) * 8 + Math.floor(index / 8)] as number)
  const expected = integerMatMul(
    { values, dims: [8, 8], scale, zeroPoint },
    { values: transposed, dims: [8, 8], scales: [scale], zeroPoint },
    [],
    output,
  )
  expect(await layerIntegers(model, x, output)).toEqual(expected)
  expect(new Set(expected).size).toBeGreaterThan(20)
})
