import { readFileSync } from 'node:fs'

import { afterAll, describe, expect, it } from 'vitest'

import { generateInputs } from '../../../src/engine/data/index.ts'
import type { Model } from '../../../src/engine/ir/model.ts'
import { printModel } from '../../../src/engine/ir/print.ts'
import { tensorOf, type Tensor } from '../../../src/engine/ir/tensor.ts'
import type { Dim } from '../../../src/engine/ir/value-type.ts'
import { decodeModel } from '../../../src/engine/onnx/decode.ts'
import { encodeModel } from '../../../src/engine/onnx/encode.ts'
import { inferTypes } from '../../../src/engine/ops/infer.ts'
import { createOrtNodeRuntime } from '../../../src/engine/runtime/ort-node/index.ts'
import { fixtureModels } from '../../support/fixture-models.ts'
import { decodedModel, ocrModels, type AttributeSpec, type TypeSpec } from '../../support/models.ts'

const runtime = createOrtNodeRuntime()
afterAll(() => runtime.close())

interface OpCase {
  readonly op: string
  readonly inputs: readonly (TypeSpec | Tensor | null)[]
  readonly attributes?: Readonly<Record<string, AttributeSpec>>
  readonly outputs?: number
  readonly opset?: number
}

function ints(...values: number[]): Tensor {
  return tensorOf('int64', [values.length], BigInt64Array.from(values, BigInt))
}
const int = (value: number) => tensorOf('int64', [], BigInt64Array.of(BigInt(value)))
const floats = (...values: number[]) => tensorOf('float32', [values.length], Float32Array.from(values))
const scalar = (value: number) => tensorOf('float32', [], Float32Array.of(value))
const f32 = (...dims: Dim[]): TypeSpec => ['float32', dims]

function modelOf({ op, inputs, attributes = {}, outputs = 1, opset = 17 }: OpCase): Model {
  const names = inputs.map((input, index) => (input === null ? '' : `i${index}`))
  const entries = inputs.map((input, index) => [names[index]!, input] as const).filter(([name]) => name !== '')
  const isTensor = (input: unknown): input is Tensor => !Array.isArray(input)
  const outputNames = Array.from({ length: outputs }, (_, index) => `o${index}`)
  const model = decodedModel({
    opset,
    inputs: Object.fromEntries(entries.filter(([, input]) => !isTensor(input))) as Record<string, TypeSpec>,
    initializers: Object.fromEntries(entries.filter(([, input]) => isTensor(input))) as Record<string, Tensor>,
    outputs: Object.fromEntries(outputNames.map((name) => [name, ['float32']])),
    nodes: [[op, names, outputNames, attributes]],
  })
  for (const output of model.graph.outputs) output.type = undefined
  return model
}

/** Inference of a model whose outputs declare nothing. */
function inferOutputs(model: Model) {
  const types = inferTypes(model)
  return model.graph.outputs.map((output) => types.of(output))
}

// Every case is run; what the runtime gives is what inference must have said.
const cases: Record<string, OpCase> = {
  GridSample: { op: 'GridSample', inputs: [f32(1, 3, 5, 6), f32(1, 2, 4, 2)], opset: 20 },
  AffineGrid: { op: 'AffineGrid', inputs: [f32(2, 2, 3), ints(2, 3, 5, 6)], opset: 20 },
  'AffineGrid, volumes': { op: 'AffineGrid', inputs: [f32(1, 3, 4), ints(1, 3, 4, 5, 6)], opset: 20 },
  Col2Im: { op: 'Col2Im', inputs: [f32(1, 8, 9), ints(4, 4), ints(2, 2)], opset: 18 },
  Det: { op: 'Det', inputs: [f32(2, 3, 3)] },
  DFT: { op: 'DFT', inputs: [f32(1, 10, 1)] },
  'DFT, one-sided, axis as input': {
    op: 'DFT',
    inputs: [f32(2, 9, 4, 1), null, int(1)],
    attributes: { onesided: 1 },
    opset: 20,
  },
  STFT: { op: 'STFT', inputs: [f32(2, 64, 1), int(8), floats(...Array<number>(16).fill(1))] },
  HannWindow: { op: 'HannWindow', inputs: [int(10)] },
  MelWeightMatrix: { op: 'MelWeightMatrix', inputs: [int(8), int(16), int(8192), scalar(0), scalar(4096)] },
  CenterCropPad: { op: 'CenterCropPad', inputs: [f32(10, 7, 3), ints(4, 9)], attributes: { axes: [0, 1] }, opset: 18 },
  MaxRoiPool: {
    op: 'MaxRoiPool',
    inputs: [f32(1, 2, 6, 6), tensorOf('float32', [2, 5], new Float32Array(10))],
    attributes: { pooled_shape: [2, 3] },
  },
  MaxUnpool: {
    op: 'MaxUnpool',
    inputs: [f32(1, 1, 2, 2), tensorOf('int64', [1, 1, 2, 2], BigInt64Array.of(5n, 7n, 13n, 15n))],
    attributes: { kernel_shape: [2, 2], strides: [2, 2] },
  },
  'Attention, heads side by side': {
    op: 'Attention',
    inputs: [f32(2, 3, 8), f32(2, 5, 8), f32(2, 5, 12)],
    attributes: { q_num_heads: 2, kv_num_heads: 2 },
    opset: 23,
  },
  'Attention, heads apart': { op: 'Attention', inputs: [f32(2, 4, 3, 8), f32(2, 4, 5, 8), f32(2, 4, 5, 6)], opset: 23 },
  'Einsum, a batched product': {
    op: 'Einsum',
    inputs: [f32(2, 3, 4), f32(2, 4, 5)],
    attributes: { equation: 'bij, bjk -> bik' },
  },
  'Einsum, with an ellipsis': {
    op: 'Einsum',
    inputs: [f32(2, 5, 3, 4), f32(2, 5, 4, 6)],
    attributes: { equation: '...ij,...jk->...ik' },
  },
  'Einsum without an arrow': { op: 'Einsum', inputs: [f32(3, 4), f32(4, 5)], attributes: { equation: 'zj,ja' } },
  'Einsum to a number': { op: 'Einsum', inputs: [f32(3, 4)], attributes: { equation: 'ij->' } },
  'a loss': { op: 'NegativeLogLikelihoodLoss', inputs: [f32(2, 3), ints(0, 2)] },
  'a loss that is not reduced': {
    op: 'SoftmaxCrossEntropyLoss',
    inputs: [f32(2, 3), ints(0, 2)],
    attributes: { reduction: 'none' },
    outputs: 2,
  },
  RotaryEmbedding: {
    op: 'RotaryEmbedding',
    inputs: [
      f32(1, 2, 3, 4),
      tensorOf('float32', [1, 3, 2], new Float32Array(6)),
      tensorOf('float32', [1, 3, 2], new Float32Array(6)),
    ],
    opset: 23,
  },
  'Add, broadcast': { op: 'Add', inputs: [f32(2, 1, 4), f32(3, 1)] },
  'Add, scalar': { op: 'Add', inputs: [f32(2, 3), scalar(1)] },
  Less: { op: 'Less', inputs: [f32(2, 3), f32(3)] },
  Where: { op: 'Where', inputs: [['bool', [2, 1]], f32(1, 3), scalar(0)] },
  'Max of three': { op: 'Max', inputs: [f32(2, 3), f32(3), scalar(0)] },
  Cast: { op: 'Cast', inputs: [f32(2)], attributes: { to: 7 } },
  Clip: { op: 'Clip', inputs: [f32(2), null, scalar(6)] },
  PRelu: { op: 'PRelu', inputs: [f32(1, 3, 4, 4), tensorOf('float32', [3, 1, 1], new Float32Array(3))] },
  IsNaN: { op: 'IsNaN', inputs: [f32(2)] },
  Gelu: { op: 'Gelu', inputs: [f32(2)], opset: 20 },
  'Conv, padded, strided': {
    op: 'Conv',
    inputs: [f32(2, 4, 9, 10), f32(6, 2, 3, 3), f32(6)],
    attributes: { group: 2, pads: [1, 0, 2, 1], strides: [2, 1] },
  },
  'Conv, dilated, 1-d': { op: 'Conv', inputs: [f32(1, 1, 9), f32(1, 1, 3)], attributes: { dilations: [2] } },
  'Conv, SAME_UPPER': {
    op: 'Conv',
    inputs: [f32(1, 1, 9, 8), f32(2, 1, 3, 3)],
    attributes: { auto_pad: 'SAME_UPPER', strides: [2, 2] },
  },
  'Conv, VALID': { op: 'Conv', inputs: [f32(1, 1, 9, 8), f32(2, 1, 3, 3)], attributes: { auto_pad: 'VALID' } },
  ConvTranspose: {
    op: 'ConvTranspose',
    inputs: [f32(1, 4, 5, 5), f32(4, 3, 3, 3)],
    attributes: { group: 2, strides: [2, 2], pads: [1, 1, 1, 1], output_padding: [1, 1] },
  },
  'ConvTranspose, output_shape': {
    op: 'ConvTranspose',
    inputs: [f32(1, 1, 5, 5), f32(1, 1, 3, 3)],
    attributes: { strides: [2, 2], output_shape: [10, 10] },
  },
  'MatMul, batched': { op: 'MatMul', inputs: [f32(2, 5, 3, 4), f32(2, 5, 4, 6)] },
  'MatMul, vector': { op: 'MatMul', inputs: [f32(4), f32(2, 4, 6)] },
  'MatMul, matrix by vector': { op: 'MatMul', inputs: [f32(3, 4), f32(4)] },
  Gemm: { op: 'Gemm', inputs: [f32(4, 2), f32(3, 4), f32(3)], attributes: { transA: 1, transB: 1 } },
  MatMulInteger: {
    op: 'MatMulInteger',
    inputs: [
      ['uint8', [2, 4]],
      ['int8', [4, 3]],
    ],
  },
  DynamicQuantizeLinear: { op: 'DynamicQuantizeLinear', inputs: [f32(2, 3)], outputs: 3 },
  QuantizeLinear: {
    op: 'QuantizeLinear',
    inputs: [f32(2, 3), scalar(1), tensorOf('int8', [], Int8Array.of(0))],
  },
  DequantizeLinear: { op: 'DequantizeLinear', inputs: [['uint8', [2, 3]], scalar(1)] },
  'MaxPool, ceil': {
    op: 'MaxPool',
    inputs: [f32(1, 2, 10, 11)],
    attributes: { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1], ceil_mode: 1 },
    outputs: 2,
  },
  AveragePool: { op: 'AveragePool', inputs: [f32(1, 2, 10, 11)], attributes: { kernel_shape: [3, 2] } },
  GlobalAveragePool: { op: 'GlobalAveragePool', inputs: [f32(2, 3, 4, 5)] },
  BatchNormalization: { op: 'BatchNormalization', inputs: [f32(2, 3, 4), f32(3), f32(3), f32(3), f32(3)] },
  LayerNormalization: {
    op: 'LayerNormalization',
    inputs: [f32(2, 3, 4), f32(3, 4)],
    attributes: { axis: 1 },
    outputs: 3,
  },
  Softmax: { op: 'Softmax', inputs: [f32(2, 3)] },
  'ReduceMean, axes, opset 17': { op: 'ReduceMean', inputs: [f32(2, 3, 4)], attributes: { axes: [-1], keepdims: 0 } },
  'ReduceMean, axes, opset 18': { op: 'ReduceMean', inputs: [f32(2, 3, 4), ints(0, 2)], opset: 18 },
  'ReduceSum, all': { op: 'ReduceSum', inputs: [f32(2, 3, 4)], attributes: { keepdims: 0 } },
  'ReduceSum, none': { op: 'ReduceSum', inputs: [f32(2, 3)], attributes: { noop_with_empty_axes: 1 } },
  ArgMax: { op: 'ArgMax', inputs: [f32(2, 3, 4)], attributes: { axis: 1, keepdims: 0 } },
  TopK: { op: 'TopK', inputs: [f32(2, 9), ints(3)], outputs: 2 },
  CumSum: { op: 'CumSum', inputs: [f32(2, 3), int(1)] },
  'Reshape, copy and rest': { op: 'Reshape', inputs: [f32(2, 3, 4), ints(0, -1)] },
  'Reshape to scalar': { op: 'Reshape', inputs: [f32(1, 1), ints()] },
  Flatten: { op: 'Flatten', inputs: [f32(2, 3, 4)], attributes: { axis: 2 } },
  'Flatten, negative axis': { op: 'Flatten', inputs: [f32(2, 3, 4)], attributes: { axis: -1 } },
  Transpose: { op: 'Transpose', inputs: [f32(2, 3, 4)], attributes: { perm: [2, 0, 1] } },
  'Transpose, reversed': { op: 'Transpose', inputs: [f32(2, 3, 4)] },
  'Squeeze, all': { op: 'Squeeze', inputs: [f32(1, 3, 1)] },
  'Squeeze, axes': { op: 'Squeeze', inputs: [f32(1, 3, 1), ints(-1)] },
  'Squeeze, opset 11': { op: 'Squeeze', inputs: [f32(1, 3, 1)], attributes: { axes: [0] }, opset: 11 },
  Unsqueeze: { op: 'Unsqueeze', inputs: [f32(2, 3), ints(0, -1)] },
  Concat: { op: 'Concat', inputs: [f32(2, 3), f32(2, 5)], attributes: { axis: -1 } },
  'Split, even': { op: 'Split', inputs: [f32(2, 6)], attributes: { axis: 1 }, outputs: 3 },
  'Split, sizes': { op: 'Split', inputs: [f32(7), ints(2, 5)], outputs: 2 },
  'Split, uneven, opset 18': { op: 'Split', inputs: [f32(7)], attributes: { num_outputs: 3 }, outputs: 3, opset: 18 },
  'Slice, negative': { op: 'Slice', inputs: [f32(10, 6), ints(-3, 1), ints(100, -1)] },
  'Slice, axes and steps': { op: 'Slice', inputs: [f32(10, 6), ints(8), ints(-100), ints(0), ints(-2)] },
  'Slice, opset 9': {
    op: 'Slice',
    inputs: [f32(10, 6)],
    attributes: { axes: [1], starts: [1], ends: [3] },
    opset: 9,
  },
  Pad: { op: 'Pad', inputs: [f32(2, 3), ints(0, 1, 2, 0)] },
  Expand: { op: 'Expand', inputs: [f32(3, 1), ints(2, 1, 6)] },
  Tile: { op: 'Tile', inputs: [f32(2, 3), ints(2, 1)] },
  DepthToSpace: { op: 'DepthToSpace', inputs: [f32(1, 8, 2, 3)], attributes: { blocksize: 2 } },
  SpaceToDepth: { op: 'SpaceToDepth', inputs: [f32(1, 2, 4, 6)], attributes: { blocksize: 2 } },
  'Resize, scales': { op: 'Resize', inputs: [f32(1, 1, 5, 5), null, floats(1, 1, 2, 1.5)] },
  'Resize, sizes': { op: 'Resize', inputs: [f32(1, 1, 5, 5), null, null, ints(1, 1, 9, 7)] },
  Gather: {
    op: 'Gather',
    inputs: [f32(5, 6, 7), tensorOf('int64', [2, 3], new BigInt64Array(6))],
    attributes: { axis: 1 },
  },
  GatherElements: { op: 'GatherElements', inputs: [f32(3, 3), tensorOf('int64', [2, 3], new BigInt64Array(6))] },
  GatherND: { op: 'GatherND', inputs: [f32(4, 5, 6), tensorOf('int64', [3, 2], new BigInt64Array(6))] },
  OneHot: { op: 'OneHot', inputs: [['int64', [2, 3]], int(4), floats(0, 1)] },
  ScatterND: { op: 'ScatterND', inputs: [f32(4, 5), tensorOf('int64', [1, 1], new BigInt64Array(1)), f32(1, 5)] },
  'Shape, part': { op: 'Shape', inputs: [f32(2, 3, 4)], attributes: { start: 1, end: -1 } },
  Size: { op: 'Size', inputs: [f32(2, 3)] },
  Constant: { op: 'Constant', inputs: [], attributes: { value_floats: [1, 2] } },
  ConstantOfShape: { op: 'ConstantOfShape', inputs: [ints(2, 3)], attributes: { value: ints(7) } },
  Range: { op: 'Range', inputs: [int(1), int(10), int(4)] },
  RandomUniformLike: { op: 'RandomUniformLike', inputs: [f32(2, 3)] },
  EyeLike: { op: 'EyeLike', inputs: [f32(2, 3)], attributes: { dtype: 7 } },
  'LSTM, both ways': {
    op: 'LSTM',
    inputs: [f32(5, 2, 3), f32(2, 16, 3), f32(2, 16, 4)],
    attributes: { hidden_size: 4, direction: 'bidirectional' },
    outputs: 3,
  },
  GRU: {
    op: 'GRU',
    inputs: [f32(5, 2, 3), f32(1, 12, 3), f32(1, 12, 4)],
    attributes: { hidden_size: 4 },
    outputs: 2,
  },
  MatMulNBits: {
    op: 'com.microsoft:MatMulNBits',
    inputs: [
      f32(2, 32),
      tensorOf('uint8', [3, 1, 16], new Uint8Array(48)),
      tensorOf('float32', [3], new Float32Array(3)),
    ],
    attributes: { K: 32, N: 3, bits: 4, block_size: 32 },
  },
  FusedConv: {
    op: 'com.microsoft:FusedConv',
    inputs: [f32(1, 2, 5, 5), f32(3, 2, 3, 3)],
    attributes: { activation: 'Relu' },
  },
}

describe('against the runtime', () => {
  it.each(Object.entries(cases))('%s', async (_name, each) => {
    const model = modelOf(each)
    const inferred = inferOutputs(model)
    model.graph.outputs.forEach((output, index) => (output.type = { dtype: inferred[index]!.dtype, dims: null }))
    const session = await runtime.createSession({ bytes: encodeModel(model) })
    try {
      const outputs = await session.run(generateInputs(session.inputs, { batch: 1, seed: 1 }))
      const actual = model.graph.outputs.map(({ name }) => ({ dtype: outputs[name]!.dtype, dims: outputs[name]!.dims }))
      expect(inferred.map((type) => ({ dtype: type?.dtype, dims: type?.dims }))).toEqual(actual)
    } finally {
      await session.release()
    }
  })
})

describe('symbolic dims', () => {
  it.each<[string, OpCase, (readonly Dim[] | null)[]]>([
    [
      'broadcast with 1 and with themselves',
      { op: 'Add', inputs: [f32('N', 1, 'C'), f32(1, 4, 'C')] },
      [['N', 4, 'C']],
    ],
    ['are unknown where two differ', { op: 'Add', inputs: [f32('N'), f32('M')] }, [[null]]],
    ['give way to a size over 1', { op: 'Add', inputs: [f32('N', 'M'), f32(3, 1)] }, [[3, 'M']]],
    [
      'stay where a window keeps the size',
      { op: 'Conv', inputs: [f32('N', 3, 'H', 'W'), f32(8, 3, 3, 3)], attributes: { pads: [1, 1, 1, 1] } },
      [['N', 8, 'H', 'W']],
    ],
    [
      'are unknown where it does not',
      { op: 'Conv', inputs: [f32('N', 3, 'H', 32), f32(8, 3, 3, 3)], attributes: { strides: [2, 2] } },
      [['N', 8, null, 15]],
    ],
    ['pass through products', { op: 'MatMul', inputs: [f32('N', 'T', 64), f32(64, 10)] }, [['N', 'T', 10]]],
    ['cancel in a Reshape', { op: 'Reshape', inputs: [f32('N', 4, 8), ints(0, -1)] }, [['N', 32]]],
    ['are the rest of a Reshape', { op: 'Reshape', inputs: [f32('N', 4), ints(-1, 4, 1)] }, [[null, 4, 1]]],
    ['stay alone in a Flatten', { op: 'Flatten', inputs: [f32('N', 4, 8)] }, [['N', 32]]],
    ['multiplied are unknown', { op: 'Flatten', inputs: [f32('N', 'C', 8)] }, [['N', null]]],
    ['of unknown sizes leave a Squeeze of all axes unknown', { op: 'Squeeze', inputs: [f32('N', 1)] }, [null]],
    [
      'add to unknown in a Concat',
      { op: 'Concat', inputs: [f32('N', 2), f32('N', 'M')], attributes: { axis: 1 } },
      [['N', null]],
    ],
    ['stay in a full Slice', { op: 'Slice', inputs: [f32('N', 9), ints(0, 2), ints(2 ** 31 - 1, 5)] }, [['N', 3]]],
    ['are kept by reductions', { op: 'ReduceMean', inputs: [f32('N', 4)], attributes: { axes: [1] } }, [['N', 1]]],
  ])('%s', (_name, each, expected) => {
    expect(inferOutputs(modelOf(each)).map((type) => type?.dims)).toEqual(expected)
  })
})

describe('what is not known', () => {
  it.each<[string, OpCase]>([
    ['an unknown operator', { op: 'Unheard', inputs: [f32(1)] }],
    ['an operator of another domain', { op: 'custom:Relu', inputs: [f32(1)] }],
    ['an operator without a rule', { op: 'com.microsoft:Irfft', inputs: [f32(1)] }],
  ])('has no type: %s', (_name, each) => {
    expect(inferOutputs(modelOf(each))).toEqual([undefined])
  })

  it('keeps the dtype without a rank', () => {
    expect(inferOutputs(modelOf({ op: 'Relu', inputs: [['float16']] }))).toEqual([{ dtype: 'float16', dims: null }])
    expect(inferOutputs(modelOf({ op: 'Reshape', inputs: [f32(4), ['int64', [2]]] }))).toEqual([
      { dtype: 'float32', dims: [null, null] },
    ])
    expect(inferOutputs(modelOf({ op: 'Reshape', inputs: [f32(4), ['int64', ['R']]] }))).toEqual([
      { dtype: 'float32', dims: null },
    ])
  })

  it('is filled in by the declared type of the value', () => {
    const model = modelOf({ op: 'Conv', inputs: [f32('N', 3, 'H', 8), f32(4, 3, 3, 3)] })
    model.graph.outputs[0]!.type = { dtype: 'float32', dims: ['batch', 4, 'out', 'wrong'] }
    expect(inferOutputs(model)).toEqual([{ dtype: 'float32', dims: ['N', 4, 'out', 6] }])
  })
})

describe('shapes computed in the graph', () => {
  it('are followed through Shape, Gather, arithmetic, Concat and Reshape', () => {
    const model = decodedModel({
      inputs: { x: ['float32', ['N', 6, 4]] },
      outputs: { y: ['float32'] },
      initializers: { zero: ints(0), one: int(1), two: int(2), minus: ints(-1) },
      nodes: [
        ['Shape', ['x'], ['shape']],
        ['Gather', ['shape', 'zero'], ['n']],
        ['Gather', ['shape', 'one'], ['c']],
        ['Div', ['c', 'two'], ['half']],
        ['Unsqueeze', ['half', 'zero'], ['halves']],
        ['Concat', ['n', 'halves', 'minus'], ['target'], { axis: 0 }],
        ['Reshape', ['x', 'target'], ['y']],
      ],
    })
    expect(inferTypes(model).of(model.graph.outputs[0])?.dims).toEqual(['N', 3, 8])
  })

  it('are not taken from an initializer that a caller can override', () => {
    const model = decodedModel({
      inputs: { x: ['float32', [4]], shape: ['int64', [2]] },
      outputs: { y: ['float32'] },
      initializers: { shape: ints(2, 2) },
      nodes: [['Reshape', ['x', 'shape'], ['y']]],
    })
    expect(inferTypes(model).of(model.graph.outputs[0])?.dims).toEqual([null, null])
  })
})

describe('branches', () => {
  it('give what both have in common', () => {
    const branch = (op: string, dims: Dim[]) => ({
      graph: {
        outputs: { r: f32(), same: f32() },
        initializers: { shape: ints(...(dims as number[])) },
        nodes: [
          [op, ['x'], ['same']],
          ['Expand', ['x', 'shape'], ['r']],
        ] as [string, string[], string[]][],
      },
    })
    const model = decodedModel({
      inputs: { c: ['bool', []], x: f32('N', 1) },
      outputs: { y: ['float32'], z: ['float32'] },
      nodes: [['If', ['c'], ['y', 'z'], { then_branch: branch('Neg', [1, 5]), else_branch: branch('Abs', [1, 6]) }]],
    })
    expect(inferOutputs(model).map((type) => type?.dims)).toEqual([
      ['N', null],
      ['N', 1],
    ])
  })

  it('that can never run may compute what can never be', () => {
    const model = modelOf({ op: 'Conv', inputs: [f32(1, 1, 2, 2), f32(1, 1, 5, 3)] })
    expect(inferOutputs(model)).toEqual([{ dtype: 'float32', dims: [1, 1, null, 0] }])
  })
})

describe('bodies of loops', () => {
  const add = ['Add', ['state', 'item'], ['sum']] as [string, string[], string[]]

  it('Scan: the body knows what it reads, states stay, the rest is stacked', () => {
    const body = {
      inputs: { state: f32(), item: f32() },
      outputs: { sum: f32(), copy: f32() },
      nodes: [add, ['Neg', ['sum'], ['copy']] as [string, string[], string[]]],
    }
    const model = decodedModel({
      inputs: { s: f32(4), xs: f32('T', 4) },
      outputs: { last: ['float32'], all: ['float32'] },
      nodes: [['Scan', ['s', 'xs'], ['last', 'all'], { num_scan_inputs: 1, body: { graph: body } }]],
    })
    for (const value of model.graph.outputs) value.type = undefined
    const [scan] = model.graph.nodes
    const [inner] = scan?.attributes.get('body')?.kind === 'graph' ? [scan.attributes.get('body')] : []
    if (inner?.kind === 'graph')
      for (const value of [...inner.value.inputs, ...inner.value.outputs]) value.type = undefined
    expect(inferOutputs(model)).toEqual([
      { dtype: 'float32', dims: [4] },
      { dtype: 'float32', dims: ['T', 4] },
    ])
  })

  it('Loop: what is carried may change its dims, what is stacked has as many as there are rounds', () => {
    const body = {
      inputs: { round: ['int64', []], go: ['bool', []], state: f32(1) } as Record<string, TypeSpec>,
      outputs: { again: ['bool', []], grown: ['float32'], item: f32(3) } as Record<string, TypeSpec>,
      nodes: [
        ['Identity', ['go'], ['again']],
        ['Concat', ['state', 'state'], ['grown'], { axis: 0 }],
        ['Identity', ['x'], ['item']],
      ] as [string, string[], string[]][],
    }
    const model = decodedModel({
      inputs: { x: f32(3), s: f32(1) },
      outputs: { last: ['float32'], all: ['float32'] },
      initializers: { many: int(3) },
      nodes: [['Loop', ['many', '', 's'], ['last', 'all'], { body: { graph: body } }]],
    })
    for (const value of model.graph.outputs) value.type = undefined
    const [last, all] = inferOutputs(model)
    expect(last).toEqual({ dtype: 'float32', dims: [null] })
    expect(all).toEqual({ dtype: 'float32', dims: [null, 3] })
  })
})

describe('classical models', () => {
  it('boosted trees have a type for every tensor', async () => {
    const model = decodeModel(readFileSync(fixtureModels.boostedTrees.model))
    for (const node of model.graph.nodes) for (const output of node.outputs) output.type = undefined
    const types = inferTypes(model)
    const trees = [...model.graph.nodes].find(({ opType }) => opType === 'TreeEnsembleClassifier')
    expect(trees?.outputs.map((output) => types.of(output)?.dims?.length)).toEqual([1, 2])
  })
})

describe('real models', () => {
  it.each(Object.entries(ocrModels))('%s gets a rank for every value, unchanged otherwise', (_name, file) => {
    const model = decodeModel(readFileSync(file))
    const before = printModel(model)
    const types = inferTypes(model)
    const unknown = [...model.graph.nodes].filter((node) => node.outputs.some((output) => !types.of(output)?.dims))
    expect(unknown.map(({ opType }) => opType)).toEqual([])
    expect(printModel(model)).toBe(before)
  })
})
