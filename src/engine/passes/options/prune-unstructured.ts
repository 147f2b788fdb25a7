import { Type } from 'typebox'
import { calibrationSamples, excludedNodes, prunedOps, weightImportance } from './prune-shared.ts'

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
        description: 'Weights less important than this become 0, however many they are. 0: as many as sparsity says.',
      }),
    ),
    step: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 100,
        default: 1,
        description:
          'Which step of a gradual pruning this is: the share that is 0 after it is sparsity · (1 − (1 − step / steps)³). Name the ' +
          'pass once a step, with training in between; the zeros stay.',
      }),
    ),
    steps: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 100,
        default: 1,
        description: 'Steps of the gradual pruning; 1: all at once. A threshold has no steps.',
      }),
    ),
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
