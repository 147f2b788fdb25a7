import { Type } from 'typebox'

/** Techniques that `auto` can try; each is a pass with its default options. */
export const autoTechniques = ['int8-static', 'int8-mixed', 'int8-dynamic', 'w8', 'w4', 'fp16'] as const

export const autoOptions = Type.Object(
  {
    techniques: Type.Optional(
      Type.Array(Type.Enum([...autoTechniques]), {
        default: [],
        uniqueItems: true,
        description: 'What to try, in this order. Empty: what suits the model and this host, the likeliest first.',
      }),
    ),
    maxDrop: Type.Optional(
      Type.Number({
        minimum: 0,
        maximum: 1,
        default: 0.005,
        description: 'Most top-1 accuracy that may be lost, where the calibration dataset has labels.',
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
    budgetMs: Type.Optional(
      Type.Integer({
        minimum: 100,
        maximum: 3_600_000,
        default: 120_000,
        description: 'Milliseconds after which nothing new is tried.',
      }),
    ),
    exclude: Type.Optional(
      Type.Array(Type.String({ maxLength: 512 }), {
        default: [],
        maxItems: 4096,
        uniqueItems: true,
        description: 'Names of nodes that static int8 leaves in float.',
      }),
    ),
  },
  { additionalProperties: false },
)
