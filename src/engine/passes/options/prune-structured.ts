import { Type } from 'typebox'
import { calibrationSamples, excludedNodes, gradualSteps } from './prune-shared.ts'

export const pruneStructuredOptions = Type.Object(
  {
    ratio: Type.Optional(
      Type.Number({
        minimum: 0,
        maximum: 0.95,
        default: 0.25,
        description:
          'Share that is removed: of the channels of each group (scope layer), or of what the model costs (scope cost).',
      }),
    ),
    ...gradualSteps,
    scope: Type.Optional(
      Type.Enum(['layer', 'cost'], {
        default: 'layer',
        description:
          'layer: the same share everywhere. cost: again and again what saves most time for the importance it has, by kernels ' +
          'measured on this host; by multiply-accumulates where nothing measures.',
      }),
    ),
    importance: Type.Optional(
      Type.Enum(['magnitude', 'activation', 'gradient', 'taylor'], {
        default: 'magnitude',
        description:
          'magnitude: norms of the weights that make a channel times those that read it. activation: norms of the weights that read ' +
          'it times that of the channel (Wanda). gradient: |Σ w · ∂L/∂w|. taylor: Σ (w · ∂L/∂w)² over batches, L as in ' +
          'prune.unstructured. All but magnitude need a calibration dataset.',
      }),
    ),
    block: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: 256,
        default: 0,
        description:
          'What stays is a multiple of this many channels. 0: as the kernels of the host like it, 16 with AVX-512, else 8.',
      }),
    ),
    minKept: Type.Optional(
      Type.Number({
        minimum: 0,
        maximum: 1,
        default: 0.25,
        description: 'Share of the channels of a group that always stays, counted as ratio is.',
      }),
    ),
    throughNorms: Type.Optional(
      Type.Boolean({
        default: false,
        description:
          'Also removes channels under a LayerNormalization, so that the width of a transformer shrinks; what it divides by is then ' +
          'another, so this needs fine-tuning.',
      }),
    ),
    refit: Type.Optional(
      Type.Boolean({
        default: true,
        description:
          'Fits the weights that read what is left by least squares on samples, where there is a calibration dataset.',
      }),
    ),
    damping: Type.Optional(
      Type.Number({
        minimum: 0,
        maximum: 10,
        default: 0.01,
        description:
          'How strongly the fit holds on to the weights there are, as a share of the mean energy of the inputs.',
      }),
    ),
    samples: calibrationSamples,
    exclude: excludedNodes,
  },
  { additionalProperties: false },
)
