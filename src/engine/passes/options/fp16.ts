import { Type } from 'typebox'

export const fp16Options = Type.Object(
  {
    keepIoTypes: Type.Optional(
      Type.Boolean({ default: true, description: 'Keep float32 inputs and outputs, with a cast at each.' }),
    ),
    maxValue: Type.Optional(
      Type.Number({
        exclusiveMinimum: 0,
        maximum: 65_504,
        default: 32_768,
        description:
          'Nodes with a weight, or with a value seen on calibration samples, beyond this stay float32. float16 ends at 65504.',
      }),
    ),
    maxReduction: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: 2 ** 31,
        default: 0,
        description: 'MatMul, Gemm and Conv whose sums have more products stay float32. 0: any number.',
      }),
    ),
    samples: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: 1_000_000,
        default: 64,
        description: 'Calibration samples to see ranges on, where the job has a calibration dataset. 0: none.',
      }),
    ),
    blockOps: Type.Optional(
      Type.Array(Type.String({ maxLength: 64 }), {
        default: [],
        maxItems: 256,
        uniqueItems: true,
        description: 'Operator types that stay float32, besides those that have no float16 form.',
      }),
    ),
    exclude: Type.Optional(
      Type.Array(Type.String({ maxLength: 512 }), {
        default: [],
        maxItems: 4096,
        uniqueItems: true,
        description: 'Names of nodes that stay float32.',
      }),
    ),
  },
  { additionalProperties: false },
)
