import { Type, type Static } from 'typebox'
import { lossSchema, optimizerSchema, scheduleSchema } from '../training/options.ts'

// What the training steps of a recipe did, as it is stored and answered: field names are those of the API.

const closed = { additionalProperties: false } as const
const count = Type.Integer({ minimum: 0 })
const numberOrNull = (description: string) => Type.Union([Type.Number(), Type.Null()], { description })

const optionsSchema = Type.Object(
  {
    loss: Type.Union(lossSchema.anyOf),
    optimizer: Type.Union(optimizerSchema.anyOf),
    learningRate: Type.Number(),
    schedule: Type.Union(scheduleSchema.anyOf),
    clipNorm: Type.Number(),
    ema: Type.Number(),
    batch: Type.Integer({ description: 'Samples of a run: what the model takes, where that is fixed.' }),
    accumulate: Type.Integer(),
    epochs: Type.Integer(),
    maxSteps: Type.Integer(),
    patience: Type.Integer(),
    validationShare: Type.Number(),
    seed: Type.Integer(),
    keepZeros: Type.Boolean(),
  },
  { ...closed, description: 'Named as in the recipe, defaults filled in.' },
)

const lessonSchema = Type.Object(
  {
    alpha: Type.Number({
      description: 'Weight of the labels: 1 where there was no teacher, 0 where no label was used.',
    }),
    teachers: Type.Array(Type.String(), { description: 'original, or ids of models.' }),
    temperature: numberOrNull('Null without a teacher.'),
  },
  closed,
)

const epochSchema = Type.Object(
  {
    epoch: Type.Integer({ minimum: 0, description: 'Epoch 0 is the model as it went into the step.' }),
    step: Type.Integer({ minimum: 0, description: 'Updates so far.' }),
    loss: numberOrNull('Mean over the epoch’s updates; null before the first.'),
    validation_loss: numberOrNull('On the samples held back; null where none were.'),
    metric: numberOrNull('On the samples held back; null where only the loss is known.'),
    learning_rate: numberOrNull('Of the epoch’s last update; null before the first.'),
  },
  closed,
)

const parametersSchema = Type.Object(
  {
    trained: Type.Integer({ minimum: 0, description: 'Numbers that training could change.' }),
    tensors: count,
    frozen: Type.Array(Type.String(), { description: 'Float weights that stayed as they were; the first 100.' }),
    frozen_tensors: count,
  },
  closed,
)

const heldSchema = Type.Object(
  {
    weights: Type.Array(Type.String(), { description: 'Pruned weights whose zeros stayed exactly 0; the first 100.' }),
    tensors: count,
    zeros: count,
    sparsity: Type.Number({ description: 'Share of the trained numbers that were held at 0.' }),
  },
  closed,
)

const positionSchema = Type.Object({ epoch: Type.Integer({ minimum: 1 }), step: count }, closed)

const recordFields = {
  options: optionsSchema,
  learned_from: lessonSchema,
  samples: Type.Object({ trained_on: count, held_back: count }, closed),
  metric: Type.Union([Type.Enum(['accuracy', 'agreement']), Type.Null()], {
    description: 'Share classified as labelled, or as the teachers classify.',
  }),
  epochs: Type.Array(epochSchema),
  losses: Type.Array(Type.Object({ step: count, loss: Type.Number() }, closed), {
    description: 'Training loss over the updates: means of as many as it takes to be at most 200.',
  }),
  updates: count,
  best_epoch: Type.Integer({ minimum: 0, description: 'The epoch whose weights were kept; 0: none was better.' }),
  stopped: Type.Enum(['epochs', 'steps', 'patience'], {
    description: 'All epochs were done, `maxSteps` were, or `patience` epochs were no better.',
  }),
  parameters: parametersSchema,
  held: heldSchema,
  resumed: Type.Array(positionSchema, {
    description: 'Where another process went on from a checkpoint. What came before is in `epochs` as well.',
  }),
}

/** What one training step did. */
const trainingRecordSchema = Type.Object(recordFields, closed)
export type TrainingRecord = Static<typeof trainingRecordSchema>

const trainedStepSchema = Type.Object({ pass: Type.String(), ...recordFields }, closed)
/** With the name of its pass. */
export type TrainedStep = Static<typeof trainedStepSchema>

/** Every training step of a recipe, in the order they ran. */
export const trainingSchema = Type.Object({ steps: Type.Array(trainedStepSchema) }, closed)
