import { Type } from 'typebox'

export const codebookOptions = Type.Object(
  {
    scheme: Type.Optional(
      Type.Enum(['linear', 'kmeans', 'log2', 'nf4', 'fp4'], {
        default: 'kmeans',
        description:
          'linear: round((x − min) / (max − min) · (2ⁿ − 1)). kmeans: the 2ⁿ values that fit best. log2: powers of two. ' +
          'nf4: 16 quantiles of a normal distribution. fp4: the 4-bit floats E2M1. nf4 and fp4 always have 4 bits.',
      }),
    ),
    bits: Type.Optional(
      Type.Integer({
        minimum: 2,
        maximum: 16,
        default: 4,
        description: 'Bits of a weight: 2 to 16 linear, up to 8 with kmeans, up to 6 with log2.',
      }),
    ),
    kernels: Type.Optional(
      Type.Enum(['auto', 'never'], {
        default: 'auto',
        description:
          'auto: linear weights of 2, 4 or 8 bits that are multiplied or looked up get the fast kernels of quantize.weights, ' +
          'in blocks; only the rest is decoded when it loads. never: everything is.',
      }),
    ),
    perChannel: Type.Optional(
      Type.Boolean({
        default: false,
        description: 'A range or codebook for each output channel, instead of one for all.',
      }),
    ),
    blockSize: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: 65536,
        default: 0,
        description: 'Weights that share a range or codebook, where that divides their number. 0: as perChannel says.',
      }),
    ),
    seed: Type.Optional(
      Type.Integer({ minimum: 0, maximum: 2 ** 31, default: 1, description: 'Of the first centers of kmeans.' }),
    ),
    ops: Type.Optional(
      Type.Array(Type.Enum(['Conv', 'ConvTranspose', 'MatMul', 'Gemm', 'Gather', 'LSTM', 'GRU', 'RNN']), {
        default: ['Conv', 'ConvTranspose', 'MatMul', 'Gemm', 'Gather', 'LSTM', 'GRU', 'RNN'],
        uniqueItems: true,
        description: 'Operator types whose weights are compressed.',
      }),
    ),
    minElements: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: 2 ** 30,
        default: 1024,
        description: 'Weights with fewer elements stay as they are.',
      }),
    ),
    exclude: Type.Optional(
      Type.Array(Type.String({ maxLength: 512 }), {
        default: [],
        maxItems: 4096,
        uniqueItems: true,
        description: 'Names of nodes or weights that stay as they are.',
      }),
    ),
  },
  { additionalProperties: false },
)
