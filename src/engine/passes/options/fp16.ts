import { Type } from 'typebox'

export const fp16Options = Type.Object(
  {
    keepIoTypes: Type.Optional(
      Type.Boolean({ default: true, description: 'Keep float32 inputs and outputs, with a cast at each.' }),
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
