import { Type } from 'typebox'

export const quantizeDynamicOptions = Type.Object(
  {
    ops: Type.Optional(
      Type.Array(Type.Enum(['MatMul', 'Gemm', 'LSTM', 'GRU', 'Gather']), {
        default: ['MatMul', 'Gemm', 'LSTM', 'GRU', 'Gather'],
        uniqueItems: true,
        description:
          'Operator types to quantize; Gather means tables of embeddings. GRU stays float, with a note, until the runtime ' +
          'has a kernel for it. Conv is not among them: dynamic int8 makes it several times slower.',
      }),
    ),
    perChannel: Type.Optional(
      Type.Boolean({
        default: true,
        description: 'One scale per output column of the weight of a MatMul or Gemm, instead of one for all.',
      }),
    ),
    perGate: Type.Optional(
      Type.Boolean({
        default: false,
        description:
          "One scale per gate and unit of an LSTM's weights, instead of one a weight: closer to the original, but the " +
          "runtime's kernel takes 6 to 10 % longer.",
      }),
    ),
    reduceRange: Type.Optional(
      Type.Enum(['auto', 'always', 'never'], {
        default: 'auto',
        description:
          '7-bit weights, for CPUs whose 8-bit multiply-add saturates (AVX2 and AVX-512 without VNNI). auto: on those.',
      }),
    ),
    minElements: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: 2 ** 30,
        default: 1024,
        description: 'Weights with fewer elements stay float: quantizing them costs more time than it saves.',
      }),
    ),
    exclude: Type.Optional(
      Type.Array(Type.String({ maxLength: 512 }), {
        default: [],
        maxItems: 4096,
        uniqueItems: true,
        description: 'Names of nodes that stay float.',
      }),
    ),
  },
  { additionalProperties: false },
)
