import { Type } from 'typebox'

export const calibrationSamples = Type.Optional(
  Type.Integer({
    minimum: 1,
    maximum: 100_000,
    default: 128,
    description: 'Samples of the calibration dataset that are used.',
  }),
)

export const excludedNodes = Type.Optional(
  Type.Array(Type.String({ maxLength: 512 }), {
    default: [],
    maxItems: 4096,
    uniqueItems: true,
    description: 'Nodes that stay as they are: names, patterns with *, or op:Type.',
  }),
)

export const weightImportance = Type.Optional(
  Type.Enum(['magnitude', 'activation', 'gradient', 'taylor'], {
    default: 'magnitude',
    description:
      'magnitude: |w|. activation: |w| times the norm of its input (Wanda). gradient: |w · ∂L/∂w| over all samples together. taylor: ' +
      'Σ (w · ∂L/∂w)² over batches. L is cross-entropy where the samples have labels, else half the square of the outputs. All but ' +
      'magnitude need a calibration dataset.',
  }),
)

export const prunedOps = Type.Optional(
  Type.Array(Type.Enum(['Conv', 'ConvTranspose', 'MatMul', 'Gemm']), {
    default: ['Conv', 'ConvTranspose', 'MatMul', 'Gemm'],
    uniqueItems: true,
    description: 'Operator types whose weights are pruned.',
  }),
)
