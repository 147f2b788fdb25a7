import { Type } from 'typebox'
import { calibrationSamples, excludedNodes } from './prune-shared.ts'

export const pruneDepthOptions = Type.Object(
  {
    ratio: Type.Optional(
      Type.Number({
        minimum: 0,
        maximum: 0.95,
        default: 0.25,
        description: 'Share of the residual blocks that is removed, those first that change least.',
      }),
    ),
    samples: calibrationSamples,
    exclude: excludedNodes,
  },
  { additionalProperties: false },
)
