import { Type } from 'typebox'

export const simplifyOptions = Type.Object(
  {
    maxGrowthBytes: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: 2 ** 28,
        default: 2 ** 20,
        description: 'Bytes by which constant folding may make the file grow, all together.',
      }),
    ),
    prove: Type.Optional(
      Type.Boolean({
        default: true,
        description: 'Run the model before and after, and roll back every rewrite that changes an output.',
      }),
    ),
    opset: Type.Optional(
      Type.Integer({
        minimum: 7,
        maximum: 22,
        description:
          'Version of ai.onnx to upgrade the model to first; a newer model stays as it is. ' +
          'Without it the version stays: some operators, such as LayerNormalization (17), can then not be used.',
      }),
    ),
    skip: Type.Optional(
      Type.Array(Type.String({ maxLength: 64 }), {
        default: [],
        maxItems: 64,
        uniqueItems: true,
        description: 'Names of rewrite rules to leave out.',
      }),
    ),
  },
  { additionalProperties: false },
)
