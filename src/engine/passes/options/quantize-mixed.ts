import { Type } from 'typebox'
import { quantizeStaticOptions } from './quantize-static.ts'

export const quantizeMixedOptions = Type.Object(
  {
    ...quantizeStaticOptions.properties,
    maxDrop: Type.Optional(
      Type.Number({
        minimum: 0,
        maximum: 1,
        default: 0.005,
        description:
          'Most top-1 accuracy that may be lost, where the calibration dataset has labels: 0.005 is half a point.',
      }),
    ),
    maxDistance: Type.Optional(
      Type.Number({
        minimum: 0,
        maximum: 2,
        default: 0.001,
        description: 'Most that 1 − cosine to the outputs of the original may reach, where there are no labels.',
      }),
    ),
    evalSamples: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 100_000,
        default: 64,
        description: 'Samples of the calibration dataset that each variant is judged on.',
      }),
    ),
    maxNodes: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 1024,
        default: 64,
        description: 'Most layers that are tried one by one; those that gain least are reverted with the search done.',
      }),
    ),
  },
  { additionalProperties: false },
)
