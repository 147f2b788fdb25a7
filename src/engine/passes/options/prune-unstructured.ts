import { Type } from 'typebox'
import { calibrationSamples, excludedNodes, gradualSteps, prunedOps, weightImportance } from './prune-shared.ts'

export const pruneUnstructuredOptions = Type.Object(
  {
    sparsity: Type.Optional(
      Type.Number({ minimum: 0, maximum: 0.999, default: 0.5, description: 'Share of the weights that becomes 0.' }),
    ),
    threshold: Type.Optional(
      Type.Number({
        minimum: 0,
        maximum: 1e9,
        default: 0,
        description:
          'Weights less important than this become 0, however many they are, at any step. 0: as many as sparsity says.',
      }),
    ),
    ...gradualSteps,
    scope: Type.Optional(
      Type.Enum(['layer', 'global'], {
        default: 'layer',
        description: 'layer: the same share of every weight. global: the least important of all of them together.',
      }),
    ),
    importance: weightImportance,
    ops: prunedOps,
    samples: calibrationSamples,
    minElements: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: 2 ** 30,
        default: 1024,
        description: 'Weights with fewer elements stay as they are.',
      }),
    ),
    exclude: excludedNodes,
  },
  { additionalProperties: false },
)
