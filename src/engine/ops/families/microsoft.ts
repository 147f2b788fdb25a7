import {
  anyFloat,
  anyInt,
  anyString,
  defineOp,
  float,
  floats,
  int,
  ints,
  many,
  string,
  strings,
  type OpTable,
} from '../definition.ts'
import { dequantizeType, quantizeType } from '../rules/creation.ts'
import { broadcastInputs, sameAsInput } from '../rules/elementwise.ts'
import {
  convMacs,
  convWeight,
  gemmMacs,
  gemmType,
  gemmWeight,
  matMulMacs,
  matMulType,
  packedMatMulType,
} from '../rules/linear.ts'
import { recurrentType } from '../rules/recurrent.ts'
import {
  channelsFirst,
  embedType,
  fusedMatMulType,
  gatherBlocksType,
  multiHeadType,
  packedAttentionType,
  quantizedBinaryType,
  quantizedConcatType,
  withInputs,
} from '../rules/microsoft.ts'
import { layerNormType } from '../rules/reduction.ts'
import { convType, globalPoolType, poolType } from '../rules/windows.ts'
import { convAttributes } from './linear.ts'

const blockAttributes = { K: anyInt, N: anyInt, block_size: anyInt } as const
const fusedConvAttributes = { ...convAttributes, activation: anyString, activation_params: floats } as const
const fusedMatMulAttributes = {
  alpha: float(1),
  transA: int(0),
  transB: int(0),
  transBatchA: int(0),
  transBatchB: int(0),
} as const

/** Products of com.microsoft: fused with what follows them, or with packed weights. */
const products = {
  DynamicQuantizeMatMul: defineOp(1, [3, 5], 1, { types: matMulType(), macs: matMulMacs }),
  FusedConv: defineOp(1, [2, 4], 1, {
    attributes: fusedConvAttributes,
    types: convType(),
    macs: convMacs(),
    quantizable: convWeight,
  }),
  FusedGemm: defineOp(1, [2, 3], 1, {
    attributes: { alpha: float(1), beta: float(1), transA: int(0), transB: int(0), activation: anyString },
    types: gemmType,
    macs: gemmMacs,
    quantizable: gemmWeight,
  }),
  FusedMatMul: defineOp(1, 2, 1, { attributes: fusedMatMulAttributes, types: fusedMatMulType }),
  FusedMatMulActivation: defineOp(1, 2, 1, {
    attributes: { ...fusedMatMulAttributes, activation: anyString },
    types: fusedMatMulType,
  }),
  GemmFastGelu: defineOp(1, [2, 3], 1, { types: matMulType(), macs: matMulMacs }),
  MatMulBnb4: defineOp(1, 3, 1, {
    attributes: { ...blockAttributes, quant_type: anyInt, training_mode: int(0), transB: int(1) },
    types: packedMatMulType,
    macs: matMulMacs,
  }),
  MatMulInteger16: defineOp(1, 2, 1, { types: matMulType({ dtype: () => 'int32' }), macs: matMulMacs }),
  MatMulIntegerToFloat: defineOp(1, [4, 7], 1, {
    types: matMulType({ dtype: ({ input }) => input(2)?.dtype }),
    macs: matMulMacs,
  }),
  MatMulNBits: defineOp(1, [3, 6], 1, {
    attributes: { ...blockAttributes, accuracy_level: int(0), bits: int(4), weight_prepacked: int(0) },
    types: packedMatMulType,
    macs: matMulMacs,
  }),
  NhwcConv: defineOp(1, [2, 3], 1, { attributes: convAttributes }),
  NhwcFusedConv: defineOp(1, [2, 4], 1, { attributes: fusedConvAttributes }),
  NhwcMaxPool: defineOp(1, 1, 1),
  TransposeMatMul: defineOp(1, 2, 1, { attributes: { alpha: float(1), transA: int(0), transB: int(0) } }),
} satisfies OpTable

function activation(attributes = {}) {
  return defineOp(1, 1, 1, { elementwise: true, activation: true, types: sameAsInput, attributes })
}

const activations = {
  BiasGelu: defineOp(1, 2, 1, { elementwise: true, types: broadcastInputs }),
  BiasSoftmax: defineOp(1, 2, 1, { attributes: { axis: int(1), is_inner_broadcast: anyInt }, types: sameAsInput }),
  FastGelu: defineOp(1, [1, 2], 1, { elementwise: true, types: sameAsInput }),
  Gelu: activation(),
  QuickGelu: activation({ alpha: float(1.702) }),
} satisfies OpTable

const normalizations = {
  EmbedLayerNormalization: defineOp(1, [7, 9], [1, 3], {
    attributes: { epsilon: float(1e-12), mask_index_type: int(0) },
    types: embedType,
  }),
  GroupNorm: defineOp(1, 3, 1, {
    attributes: { activation: anyInt, channels_last: int(1), epsilon: float(1e-5), groups: anyInt },
    types: sameAsInput,
  }),
  SkipGroupNorm: defineOp(1, [4, 5], [1, 2], {
    attributes: { activation: anyInt, channels_last: int(1), epsilon: float(1e-5), groups: anyInt },
    types: sameAsInput,
  }),
  SkipLayerNormalization: defineOp(1, [3, 5], [1, 4], { attributes: { epsilon: float(1e-12) }, types: skipNormType }),
  SkipSimplifiedLayerNormalization: defineOp(1, [3, 4], [1, 4], {
    attributes: { epsilon: float(1e-12) },
    types: skipNormType,
  }),
} satisfies OpTable

/** Outputs 1 and 2 are statistics, output 3 is the sum of input and skip. */
function skipNormType(context: Parameters<typeof layerNormType>[0]) {
  return [...layerNormType(context), context.input(0)]
}

const attention = {
  Attention: defineOp(1, [2, 7], [1, 2], {
    attributes: {
      do_rotary: int(0),
      mask_filter_value: float(-10_000),
      num_heads: anyInt,
      past_present_share_buffer: anyInt,
      qkv_hidden_sizes: ints,
      rotary_embedding_dim: anyInt,
      scale: anyFloat,
      unidirectional: int(0),
    },
    types: packedAttentionType,
  }),
  GroupQueryAttention: defineOp(1, [7, 17], [1, 4], { attributes: { kv_num_heads: anyInt, num_heads: anyInt } }),
  MultiHeadAttention: defineOp(1, [1, 10], [1, 4], {
    attributes: { num_heads: anyInt, scale: anyFloat },
    types: multiHeadType,
  }),
  RotaryEmbedding: defineOp(1, 4, 1, { types: sameAsInput }),
} satisfies OpTable

function quantizedUnary(attributes = {}) {
  return defineOp(1, [4, 5], 1, { attributes, types: sameAsInput })
}

const dynamicLstm = defineOp(1, 12, [0, 3], {
  attributes: {
    activation_alpha: floats,
    activation_beta: floats,
    activations: strings,
    clip: anyFloat,
    direction: string('forward'),
    hidden_size: anyInt,
    input_forget: int(0),
  },
  types: recurrentType,
})

/** Operators on quantized values, with scale and zero point beside each. */
const quantized = {
  DequantizeLinear: defineOp(1, [2, 3], 1, { attributes: { axis: int(1) }, types: dequantizeType, foldable: false }),
  DynamicQuantizeLSTM: dynamicLstm,
  GatherBlockQuantized: defineOp(1, [3, 4], 1, {
    attributes: { bits: int(4), block_size: int(128), gather_axis: int(0), quantize_axis: int(1) },
    types: gatherBlocksType,
  }),
  QAttention: defineOp(1, [5, 9], [1, 2], { attributes: { num_heads: anyInt, unidirectional: int(0) } }),
  QGemm: defineOp(1, [6, 9], 1, {
    attributes: { alpha: float(1), transA: int(0), transB: int(0) },
    types: withInputs([0, 3], gemmType),
    macs: gemmMacs,
  }),
  QLinearAdd: defineOp(1, [7, 8], 1, { types: quantizedBinaryType }),
  QLinearAveragePool: defineOp(1, [4, 5], 1, {
    attributes: {
      auto_pad: string('NOTSET'),
      ceil_mode: int(0),
      channels_last: int(0),
      count_include_pad: int(0),
      kernel_shape: ints,
      pads: ints,
      strides: ints,
    },
    types: channelsFirst((context) => poolType(context).slice(0, 1)),
  }),
  QLinearConcat: defineOp(1, [3, many], 1, { attributes: { axis: anyInt }, types: quantizedConcatType }),
  QLinearConv: defineOp(1, [8, 9], 1, {
    attributes: { ...convAttributes, channels_last: int(0) },
    types: channelsFirst(convType(3, ({ input }) => input(7)?.dtype)),
    macs: convMacs(3),
  }),
  QLinearGlobalAveragePool: defineOp(1, 5, 1, {
    attributes: { channels_last: int(0) },
    types: channelsFirst(globalPoolType),
  }),
  QLinearLeakyRelu: quantizedUnary({ alpha: float(0.01) }),
  QLinearMul: defineOp(1, [7, 8], 1, { types: quantizedBinaryType }),
  QLinearReduceMean: defineOp(1, [4, 5], 1, { attributes: { axes: ints, keepdims: anyInt } }),
  QLinearSigmoid: quantizedUnary(),
  QLinearSoftmax: defineOp(1, 5, 1, { attributes: { axis: int(-1), opset: anyInt }, types: sameAsInput }),
  QLinearWhere: defineOp(1, 9, 1),
  QuantizeLinear: defineOp(1, [2, 3], 1, { attributes: { axis: int(1) }, types: quantizeType, foldable: false }),
} satisfies OpTable

const others = {
  BiasAdd: defineOp(1, 3, 1, { elementwise: true, types: sameAsInput }),
  BiasSplitGelu: defineOp(1, 2, 1),
  CDist: defineOp(1, 2, 1, { attributes: { metric: string('sqeuclidean') } }),
  ConvTransposeWithDynamicPads: defineOp(1, [2, 4], 1, {
    attributes: { group: int(1), kernel_shape: ints, strides: ints },
  }),
  CropAndResize: defineOp(1, 4, 1),
  ExpandDims: defineOp(1, 2, 1, { movesData: true }),
  Inverse: defineOp(1, 1, 1, { types: sameAsInput }),
  Irfft: defineOp(1, 1, 1),
  MaxpoolWithMask: defineOp(1, 2, 1),
  MurmurHash3: defineOp(1, 1, 1),
  Rfft: defineOp(1, 1, 1),
  Tokenizer: defineOp(1, 1, 1),
  Trilu: defineOp(1, [1, 2], 1, { attributes: { upper: int(1) }, types: sameAsInput }),
  WordConvEmbedding: defineOp(1, 4, 1),
} satisfies OpTable

/** com.microsoft: operators of ONNX Runtime that its optimizer makes, or that we do. */
export const microsoftFamilies = [products, activations, normalizations, attention, quantized, others]
