import { Type } from 'typebox'

export const calibrationSamples = Type.Optional(
  Type.Integer({
    minimum: 1,
    maximum: 100_000,
    default: 128,
    description: 'Samples of the calibration dataset that are used.',
  }),
)

export const excludedNodes = Type.Optional(
  Type.Array(Type.String({ maxLength: 512 }), {
    default: [],
    maxItems: 4096,
    uniqueItems: true,
    description: 'Nodes that stay as they are: names, patterns with *, or op:Type.',
  }),
)
