import { Type } from 'typebox'
import { calibrationSamples, excludedNodes, prunedOps, weightImportance } from './prune-shared.ts'

export const pruneNmOptions = Type.Object(
  {
    n: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 63, default: 2, description: 'Weights of each run of m that stay.' }),
    ),
    m: Type.Optional(
      Type.Integer({
        minimum: 2,
        maximum: 64,
        default: 4,
        description: 'Length of a run along the input channels. 2:4 is what sparse tensor cores of GPUs compute.',
      }),
    ),
    importance: weightImportance,
    ops: prunedOps,
    samples: calibrationSamples,
    exclude: excludedNodes,
  },
  { additionalProperties: false },
)
