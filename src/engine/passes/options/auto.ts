import { Type } from 'typebox'
import { qualityBudget } from './quality-budget.ts'

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
    ...qualityBudget,
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
