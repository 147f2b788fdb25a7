import { Type } from 'typebox'

export const bf16Options = Type.Object(
  {
    minElements: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 2 ** 30,
        default: 256,
        description: 'Weights with fewer elements stay float32.',
      }),
    ),
    exclude: Type.Optional(
      Type.Array(Type.String({ maxLength: 512 }), {
        default: [],
        maxItems: 4096,
        uniqueItems: true,
        description: 'Names of weights that stay float32.',
      }),
    ),
  },
  { additionalProperties: false },
)
