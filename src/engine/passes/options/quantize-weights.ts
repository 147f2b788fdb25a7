import { Type } from 'typebox'

export const quantizeWeightsOptions = Type.Object(
  {
    bits: Type.Optional(Type.Enum([2, 4, 8], { default: 4, description: 'Bits of a weight.' })),
    blockSize: Type.Optional(
      Type.Enum([16, 32, 64, 128, 256], {
        default: 32,
        description: 'Weights that share a scale. Smaller blocks are more accurate and take more space.',
      }),
    ),
    method: Type.Optional(
      Type.Enum(['rtn', 'hqq', 'gptq'], {
        default: 'hqq',
        description:
          'rtn rounds each weight to the nearest. hqq also moves the zero points to where the weights fit best. ' +
          'gptq lets later weights make up for the rounding of earlier ones, and needs a calibration dataset.',
      }),
    ),
    symmetric: Type.Optional(
      Type.Boolean({
        default: false,
        description: 'No zero points, for rtn and gptq: slightly smaller, less accurate. hqq always has them.',
      }),
    ),
    ops: Type.Optional(
      Type.Array(Type.Enum(['MatMul', 'Gemm', 'Gather']), {
        default: ['MatMul', 'Gemm', 'Gather'],
        uniqueItems: true,
        description: 'Operator types to quantize. Gather means tables of embeddings.',
      }),
    ),
    accuracyLevel: Type.Optional(
      Type.Enum(['auto', 'float32', 'int8'], {
        default: 'auto',
        description:
          'What the runtime computes in: float32, or activations rounded to int8 (the faster by far on most CPUs). ' +
          'auto: measured on this host for each shape; int8 only where it is at least a tenth faster.',
      }),
    ),
    onlyFaster: Type.Optional(
      Type.Boolean({
        default: false,
        description:
          'With accuracyLevel auto: leave nodes float that measured slower with packed weights on this host.',
      }),
    ),
    measureMs: Type.Optional(
      Type.Integer({
        minimum: 100,
        maximum: 600_000,
        default: 4000,
        description: 'Time for the measurements of accuracyLevel auto together, in milliseconds.',
      }),
    ),
    damping: Type.Optional(
      Type.Number({
        minimum: 0.0001,
        maximum: 1,
        default: 0.01,
        description: 'gptq: what is added to the diagonal of the Hessian, as a share of its mean.',
      }),
    ),
    samples: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 1_000_000,
        default: 256,
        description: 'gptq: samples of the calibration dataset to run; fewer when it has fewer.',
      }),
    ),
    minElements: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: 2 ** 30,
        default: 1024,
        description: 'Weights with fewer elements stay float.',
      }),
    ),
    exclude: Type.Optional(
      Type.Array(Type.String({ maxLength: 512 }), {
        default: [],
        maxItems: 4096,
        uniqueItems: true,
        description: 'Names of nodes that stay float, for instance the head of a classifier.',
      }),
    ),
  },
  { additionalProperties: false },
)
