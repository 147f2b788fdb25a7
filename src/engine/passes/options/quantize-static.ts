import { Type } from 'typebox'

const calibrationOptions = Type.Object(
  {
    method: Type.Optional(
      Type.Enum(['minmax', 'moving_average', 'percentile', 'entropy', 'mse'], {
        default: 'minmax',
        description:
          'How a range is chosen: the extremes, their moving average over batches, a percentile, the least ' +
          'Kullback-Leibler divergence (2,048 bins to 128 levels), or the least squared error.',
      }),
    ),
    percentile: Type.Optional(
      Type.Number({
        exclusiveMinimum: 0,
        maximum: 100,
        default: 99.999,
        description: 'Share of the values that a range of method percentile covers, in percent.',
      }),
    ),
    averagingConstant: Type.Optional(
      Type.Number({
        exclusiveMinimum: 0,
        maximum: 1,
        default: 0.01,
        description: 'How far method moving_average goes towards the extremes of the next batch.',
      }),
    ),
    samples: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 1_000_000,
        default: 256,
        description: 'Samples of the calibration dataset to run; fewer when it has fewer.',
      }),
    ),
    batch: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 1024,
        default: 8,
        description: 'Samples in one run, where the model allows.',
      }),
    ),
  },
  { additionalProperties: false, default: {}, description: 'How ranges are found.' },
)

export const quantizeStaticOptions = Type.Object(
  {
    activations: Type.Optional(
      Type.Enum(['auto', 'uint8', 'int8', 'uint16', 'int16'], {
        default: 'auto',
        description:
          'Type of quantized activations. auto: what the oracle measures as fastest with the weights on the host, uint8 ' +
          'where nobody measured; CPUs have no 16-bit kernels.',
      }),
    ),
    symmetricActivations: Type.Optional(
      Type.Enum(['auto', 'always', 'never'], {
        default: 'auto',
        description: 'Whether activations have their zero in the middle of the type. auto: signed ones.',
      }),
    ),
    weights: Type.Optional(
      Type.Enum(['auto', 'int8', 'uint8', 'int16', 'int4', 'uint4'], {
        default: 'auto',
        description:
          'Type of quantized weights. auto: as with activations, else int8. Only 8-bit ones are faster; those of 4 bits are half as large again.',
      }),
    ),
    symmetricWeights: Type.Optional(
      Type.Boolean({ default: true, description: 'Weights have their zero in the middle of the type.' }),
    ),
    block: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: 4096,
        default: 0,
        description:
          'Weights of MatMul and Gemm along the reduced axis that share a scale; 0 for none (needs opset 21).',
      }),
    ),
    perChannel: Type.Optional(
      Type.Boolean({ default: true, description: 'One scale per output channel of a weight (needs opset 13).' }),
    ),
    reduceRange: Type.Optional(
      Type.Enum(['auto', 'always', 'never'], {
        default: 'auto',
        description:
          '7-bit weights, for CPUs whose 8-bit multiply-add saturates (AVX2 and AVX-512 without VNNI). auto: on those.',
      }),
    ),
    ops: Type.Optional(
      Type.Array(
        Type.Enum([
          'Conv',
          'MatMul',
          'Gemm',
          'Add',
          'Mul',
          'Softmax',
          'Where',
          'Gather',
          'Tile',
          'Expand',
          'Concat',
          'MaxPool',
          'AveragePool',
          'GlobalAveragePool',
          'LeakyRelu',
          'Sigmoid',
          'Reshape',
          'Transpose',
          'Squeeze',
          'Unsqueeze',
          'Flatten',
          'Slice',
          'Resize',
          'Split',
          'DepthToSpace',
          'GatherElements',
          'ReduceMax',
          'ReduceMin',
        ]),
        {
          default: [
            'Conv',
            'MatMul',
            'Gemm',
            'Add',
            'Concat',
            'MaxPool',
            'AveragePool',
            'GlobalAveragePool',
            'Reshape',
            'Transpose',
            'Squeeze',
            'Unsqueeze',
            'Flatten',
            'Slice',
            'Resize',
            'Where',
            'Gather',
            'Tile',
            'Expand',
            'Split',
            'DepthToSpace',
            'GatherElements',
            'ReduceMax',
            'ReduceMin',
          ],
          uniqueItems: true,
          description: 'Operator types to run in int8. Those after Gemm only between two that are in int8 anyway.',
        },
      ),
    ),
    exclude: Type.Optional(
      Type.Array(Type.String({ maxLength: 512 }), {
        default: [],
        maxItems: 4096,
        uniqueItems: true,
        description:
          'Nodes that stay float: names of nodes or of their results, * standing for any characters, or op:Type for all of a type.',
      }),
    ),
    keepHeads: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: 64,
        default: 0,
        description:
          'How many layers with weights before each output stay float: the head of a detector, for instance.',
      }),
    ),
    calibration: Type.Optional(calibrationOptions),
    equalize: Type.Optional(
      Type.Boolean({
        default: false,
        description: 'Cross-layer equalization: gives channels between two layers the same size in both.',
      }),
    ),
    smoothQuant: Type.Optional(
      Type.Union([Type.Enum(['off', 'auto']), Type.Number({ minimum: 0, maximum: 1 })], {
        default: 'off',
        description:
          'SmoothQuant: how far outliers of the inputs of matrix products move into their weights (alpha); auto measures it.',
      }),
    ),
    correctBias: Type.Optional(
      Type.Boolean({
        default: false,
        description: 'Takes back what quantizing weights adds to the mean of each output channel, over the samples.',
      }),
    ),
  },
  { additionalProperties: false },
)
