import { Type } from 'typebox'
import { lossSchema, optimizerSchema, scheduleSchema } from '../../training/options.ts'

const names = (fallback: readonly string[], description: string) =>
  Type.Optional(
    Type.Array(Type.String({ minLength: 1, maxLength: 512 }), {
      default: [...fallback],
      maxItems: 4096,
      uniqueItems: true,
      description,
    }),
  )

/** How a pass trains; the same for every pass that does. */
export const trainingOptions = {
  output: Type.Optional(
    Type.String({ maxLength: 512, default: '', description: 'Name of the output to train; empty: the only one.' }),
  ),
  loss: Type.Optional(
    Type.Union(lossSchema.anyOf, {
      default: { kind: 'cross-entropy' },
      description:
        'What the output is compared with its target by. Classifiers learn from class indices, and from a teacher by the divergence of distributions.',
    }),
  ),
  parameters: names(
    ['*'],
    'Initializers to train: names, with * and ? as in globs. An exact name also trains what is no weight by rule.',
  ),
  frozen: names([], 'Initializers that stay as they are, also where `parameters` matches them.'),
  frozenNodes: names([], 'Nodes that no gradient flows through: names, patterns with *, or op:Type.'),
  keepZeros: Type.Optional(
    Type.Boolean({
      default: true,
      description: 'Zeros that pruning left in a weight stay exactly 0; weights with few zeros have none held.',
    }),
  ),
  optimizer: Type.Optional(
    Type.Union(optimizerSchema.anyOf, {
      default: { kind: 'adam' },
      description: 'How a gradient becomes an update.',
    }),
  ),
  schedule: Type.Optional(
    Type.Union(scheduleSchema.anyOf, {
      default: { kind: 'cosine' },
      description: 'How the learning rate changes over the updates.',
    }),
  ),
  clipNorm: Type.Optional(
    Type.Number({
      minimum: 0,
      maximum: 1e6,
      default: 1,
      description: 'Largest global norm of a gradient, a longer one is scaled to it; 0: none.',
    }),
  ),
  ema: Type.Optional(
    Type.Number({
      minimum: 0,
      exclusiveMaximum: 1,
      default: 0,
      description: 'Decay of a moving average of the parameters, which then is the result; 0: none.',
    }),
  ),
  batch: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: 4096,
      default: 32,
      description: 'Samples of one run; a model with a fixed batch takes that.',
    }),
  ),
  accumulate: Type.Optional(
    Type.Integer({ minimum: 1, maximum: 1024, default: 1, description: 'Runs whose gradients make one update.' }),
  ),
  epochs: Type.Optional(
    Type.Integer({ minimum: 1, maximum: 10_000, default: 5, description: 'Passes over the training samples.' }),
  ),
  maxSteps: Type.Optional(
    Type.Integer({
      minimum: 0,
      maximum: 2 ** 30,
      default: 0,
      description: 'Updates after which training ends, whatever the epochs; 0: no limit.',
    }),
  ),
  patience: Type.Optional(
    Type.Integer({
      minimum: 0,
      maximum: 10_000,
      default: 0,
      description: 'Epochs without improvement after which training ends; 0: never.',
    }),
  ),
  validationShare: Type.Optional(
    Type.Number({
      minimum: 0,
      maximum: 0.9,
      default: 0.1,
      description: 'Share of the samples that is held back to judge by; the best epoch is kept. 0: the last one is.',
    }),
  ),
  seed: Type.Optional(
    Type.Integer({
      minimum: 0,
      maximum: 2 ** 31 - 1,
      default: 0,
      description: 'Decides which samples are held back, and the order of the others.',
    }),
  ),
}

/** The learning rate that suits what a pass starts from. */
export function learningRateOf(fallback: number) {
  return Type.Optional(
    Type.Number({
      exclusiveMinimum: 0,
      maximum: 100,
      default: fallback,
      description: 'How far an update goes, at the top of the schedule.',
    }),
  )
}

/** T of the softened distributions that a student learns. */
export const temperatureOption = Type.Optional(
  Type.Number({
    minimum: 1,
    maximum: 100,
    default: 4,
    description: 'How much the distributions of a teacher are softened (T).',
  }),
)
