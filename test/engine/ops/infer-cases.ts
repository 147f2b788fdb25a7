import { tensorOf, type Tensor } from '../../../src/engine/ir/tensor.ts'
import type { Dim } from '../../../src/engine/ir/value-type.ts'
import type { AttributeSpec, TypeSpec } from '../../support/models.ts'

/** One operator with inputs: types for what a caller gives, tensors for constants, null for what is left out. */
export interface OpCase {
  readonly op: string
  readonly inputs: readonly (TypeSpec | Tensor | null)[]
  readonly attributes?: Readonly<Record<string, AttributeSpec>>
  readonly outputs?: number
  readonly opset?: number
}

export function ints(...values: number[]): Tensor {
  return tensorOf('int64', [values.length], BigInt64Array.from(values, BigInt))
}
export const int = (value: number) => tensorOf('int64', [], BigInt64Array.of(BigInt(value)))
const floats = (...values: number[]) => tensorOf('float32', [values.length], Float32Array.from(values))
const scalar = (value: number) => tensorOf('float32', [], Float32Array.of(value))
export const f32 = (...dims: Dim[]): TypeSpec => ['float32', dims]

const u8 = (...dims: Dim[]): TypeSpec => ['uint8', dims]
const zero: Tensor = { dtype: 'uint8', dims: [], bytes: Uint8Array.of(0) }

/** Every case is run; what the runtime gives is what inference must have said. */
export const inferenceCases: Record<string, OpCase> = {
  'FusedMatMul, both swapped': {
    op: 'com.microsoft:FusedMatMul',
    inputs: [f32(2, 4, 3), f32(5, 4)],
    attributes: { transA: 1, transB: 1 },
  },
  MultiHeadAttention: {
    op: 'com.microsoft:MultiHeadAttention',
    inputs: [f32(2, 3, 8), f32(2, 5, 8), f32(2, 5, 8)],
    attributes: { num_heads: 2 },
  },
  'Attention of com.microsoft': {
    op: 'com.microsoft:Attention',
    inputs: [
      f32(2, 3, 8),
      tensorOf('float32', [8, 24], new Float32Array(192)),
      tensorOf('float32', [24], new Float32Array(24)),
    ],
    attributes: { num_heads: 2 },
  },
  QLinearAdd: {
    op: 'com.microsoft:QLinearAdd',
    inputs: [u8(2, 3), scalar(1), zero, u8(3), scalar(1), zero, scalar(1), zero],
  },
  QLinearConcat: {
    op: 'com.microsoft:QLinearConcat',
    inputs: [scalar(1), zero, u8(2, 3), scalar(1), zero, u8(2, 4), scalar(1), zero],
    attributes: { axis: 1 },
  },
  QLinearGlobalAveragePool: {
    op: 'com.microsoft:QLinearGlobalAveragePool',
    inputs: [u8(1, 2, 4, 4), scalar(1), zero, scalar(1), zero],
  },
  QLinearAveragePool: {
    op: 'com.microsoft:QLinearAveragePool',
    inputs: [u8(1, 2, 5, 4), scalar(1), zero, scalar(1), zero],
    attributes: { kernel_shape: [2, 2] },
  },
  QGemm: {
    op: 'com.microsoft:QGemm',
    inputs: [
      u8(2, 3),
      scalar(1),
      zero,
      { dtype: 'uint8', dims: [5, 3], bytes: new Uint8Array(15) },
      scalar(1),
      zero,
      null,
      scalar(1),
      zero,
    ],
    attributes: { transB: 1 },
  },
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
