import { Type } from 'typebox'
import { excludedNodes } from './prune-shared.ts'

export const factorizeOptions = Type.Object(
  {
    by: Type.Optional(
      Type.Enum(['energy', 'ratio'], {
        default: 'energy',
        description: 'What chooses ranks: how much of the weight is kept, or how much work is left.',
      }),
    ),
    method: Type.Optional(
      Type.Enum(['auto', 'svd', 'tucker', 'cp'], {
        default: 'auto',
        description:
          'How a convolution with a window is split. svd: the window to fewer channels, then 1×1. tucker: 1×1 to fewer channels, the ' +
          'window over those, 1×1 back. cp: 1×1, a depthwise window, 1×1. auto: by energy what takes least time where that is ' +
          'measured, else least work; by ratio what keeps most. MatMul, Gemm and 1×1 convolutions are always split by svd.',
      }),
    ),
    energy: Type.Optional(
      Type.Number({
        minimum: 0.1,
        maximum: 0.9999,
        default: 0.95,
        description: 'Share of Σ σ² that is kept: of a weight by svd and cp, in each mode of channels by tucker.',
      }),
    ),
    ratio: Type.Optional(
      Type.Number({
        minimum: 0.02,
        maximum: 0.95,
        default: 0.5,
        description: 'Share of the multiply-accumulates of a layer that is left.',
      }),
    ),
    minSaving: Type.Optional(
      Type.Number({
        minimum: 0,
        maximum: 0.95,
        default: 0.1,
        description: 'A layer stays whole unless its work, and its time where that is measured, falls by this share.',
      }),
    ),
    block: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: 256,
        default: 0,
        description: 'Ranks are multiples of this. 0: as the kernels of the host like it, 16 with AVX-512, else 8.',
      }),
    ),
    ops: Type.Optional(
      Type.Array(Type.Enum(['Conv', 'MatMul', 'Gemm']), {
        default: ['Conv', 'MatMul', 'Gemm'],
        uniqueItems: true,
        description: 'Operator types that are split.',
      }),
    ),
    minElements: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: 2 ** 30,
        default: 1024,
        description: 'Layers whose weight has fewer elements stay as they are.',
      }),
    ),
    exclude: excludedNodes,
  },
  { additionalProperties: false },
)
