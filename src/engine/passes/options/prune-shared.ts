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

/** Of passes that a recipe may name several times, with training in between. */
export const gradualSteps = {
  step: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: 100,
      default: 1,
      description:
        'Which step of a gradual pruning this is: what is gone after it is the whole share · (1 − (1 − step / steps)³), counted from ' +
        'what was there before the first. Name the pass once a step, with training in between; what is gone stays so.',
    }),
  ),
  steps: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: 100,
      default: 1,
      description: 'Steps of the gradual pruning; 1: all at once.',
    }),
  ),
}
