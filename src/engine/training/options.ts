import { Type, type Static } from 'typebox'

const closed = { additionalProperties: false } as const

/** What an output is compared with its target by. The API's schemas and the trainer's types are this one object. */
export const lossSchema = Type.Union(
  [
    Type.Object(
      {
        kind: Type.Literal('cross-entropy'),
        labelSmoothing: Type.Optional(
          Type.Number({
            minimum: 0,
            exclusiveMaximum: 1,
            default: 0,
            description: 'Share of the probability that is spread evenly over all classes.',
          }),
        ),
        axis: Type.Optional(Type.Integer({ minimum: -1, maximum: 7, description: 'Axis of the classes.' })),
      },
      closed,
    ),
    Type.Object({ kind: Type.Literal('mse') }, closed),
    Type.Object({ kind: Type.Literal('mae') }, closed),
    Type.Object({ kind: Type.Literal('binary-cross-entropy') }, closed),
    Type.Object(
      {
        kind: Type.Literal('kl'),
        temperature: Type.Optional(Type.Number({ exclusiveMinimum: 0, maximum: 100, default: 1 })),
        axis: Type.Optional(Type.Integer({ minimum: -1, maximum: 7, description: 'Axis of the classes.' })),
      },
      closed,
    ),
    Type.Object({ kind: Type.Literal('cosine') }, closed),
    Type.Object({ kind: Type.Literal('feature') }, closed),
  ],
  { description: 'The loss that training lowers.' },
)

const weightDecay = Type.Optional(
  Type.Number({ minimum: 0, maximum: 1, default: 0, description: 'Pull of the weights towards zero.' }),
)
const decayed = Type.Optional(
  Type.Enum(['matrices', 'all'], {
    default: 'matrices',
    description: 'What weight decay applies to: parameters with two or more axes (no biases, no norms), or all.',
  }),
)
const beta = (value: number) => Type.Optional(Type.Number({ minimum: 0, exclusiveMaximum: 1, default: value }))
const adamFields = {
  beta1: beta(0.9),
  beta2: beta(0.999),
  epsilon: Type.Optional(Type.Number({ exclusiveMinimum: 0, maximum: 1, default: 1e-8 })),
  weightDecay,
  decayed,
}

/** How a gradient becomes an update. */
export const optimizerSchema = Type.Union([
  Type.Object(
    {
      kind: Type.Literal('sgd'),
      momentum: Type.Optional(Type.Number({ minimum: 0, exclusiveMaximum: 1, default: 0 })),
      nesterov: Type.Optional(Type.Boolean({ default: false })),
      weightDecay,
      decayed,
    },
    closed,
  ),
  Type.Object({ kind: Type.Literal('adam'), ...adamFields }, closed),
  Type.Object({ kind: Type.Literal('adamw'), ...adamFields }, closed),
])

const warmup = Type.Optional(
  Type.Integer({ minimum: 0, default: 0, description: 'Updates over which the rate rises from zero in a line.' }),
)

/** How the learning rate changes over the updates. */
export const scheduleSchema = Type.Union([
  Type.Object({ kind: Type.Literal('constant'), warmup }, closed),
  Type.Object(
    {
      kind: Type.Literal('step'),
      every: Type.Integer({ minimum: 1, description: 'Updates between two drops.' }),
      factor: Type.Optional(Type.Number({ exclusiveMinimum: 0, maximum: 1, default: 0.1 })),
      warmup,
    },
    closed,
  ),
  Type.Object(
    {
      kind: Type.Literal('cosine'),
      floor: Type.Optional(
        Type.Number({ minimum: 0, maximum: 1, default: 0, description: 'Share of the rate that is left at the end.' }),
      ),
      warmup,
    },
    closed,
  ),
])

export type LossOptions = Static<typeof lossSchema>
export type LossKind = LossOptions['kind']
export type OptimizerOptions = Static<typeof optimizerSchema>
export type ScheduleOptions = Static<typeof scheduleSchema>
