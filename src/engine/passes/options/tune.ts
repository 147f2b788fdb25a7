import { Type } from 'typebox'

export const tuneOptions = Type.Object(
  {
    threads: Type.Optional(
      Type.Array(Type.Integer({ minimum: 1, maximum: 1024 }), {
        default: [],
        maxItems: 16,
        uniqueItems: true,
        description:
          'Intra-op thread counts to try. Empty: only the count the target names, or the default of the runtime.',
      }),
    ),
    batch: Type.Optional(
      Type.Array(Type.Integer({ minimum: 1, maximum: 1024 }), {
        default: [],
        maxItems: 16,
        uniqueItems: true,
        description:
          "Batch sizes to time each session at. The session is chosen at the target's batch, or at the first where that is not listed; the notes give every batch's time a sample. Empty: only what a sample brings.",
      }),
    ),
    optimizationLevels: Type.Optional(
      Type.Array(Type.Enum(['basic', 'extended', 'all']), {
        default: ['extended', 'all'],
        uniqueItems: true,
        description: 'Graph optimization levels of the runtime to try.',
      }),
    ),
    spinning: Type.Optional(
      Type.Array(Type.Boolean(), {
        default: [true, false],
        maxItems: 2,
        uniqueItems: true,
        description: 'Whether idle threads spin; tried only with more than one thread.',
      }),
    ),
    budgetMs: Type.Optional(
      Type.Integer({
        minimum: 100,
        maximum: 600_000,
        default: 10_000,
        description: 'Time for all measurements together, in milliseconds.',
      }),
    ),
  },
  { additionalProperties: false },
)
