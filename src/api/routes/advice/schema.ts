import { Type } from 'typebox'
import { deviceClasses } from '../../../jobs/contracts.ts'
import { closed, idOf, nullable, openObject } from '../../schemas/common.ts'

export const adviceBody = Type.Object(
  {
    device: Type.Enum([...deviceClasses], { default: 'cpu' }),
    goal: Type.Enum(['latency', 'throughput', 'size'], { default: 'latency' }),
    allowed_loss: Type.Number({
      minimum: 0,
      maximum: 1,
      default: 0.01,
      description: 'Share of right answers that may be lost; 0 asks for lossless techniques only.',
    }),
    calibration: Type.Boolean({ default: true, description: 'Whether there is a dataset to choose ranges from.' }),
    train: Type.Enum(['none', 'samples', 'labels'], {
      default: 'none',
      description: 'What there is to learn from besides: for techniques that train what is left of a smaller model.',
    }),
    batch: Type.Integer({ minimum: 1, maximum: 4096, default: 1, description: 'Samples of one run.' }),
    threads: Type.Integer({
      minimum: 1,
      maximum: 256,
      default: 1,
      description: "Threads inside one run, as in a job's target.",
    }),
  },
  { ...closed, default: {} },
)

const forecastSchema = Type.Object(
  {
    form: nullable(
      Type.String({ description: 'How kernels are computed, such as qdq-u8s8; null when nothing is known.' }),
    ),
    speedup: nullable(
      Type.Object(
        { estimate: Type.Number(), low: Type.Number(), high: Type.Number() },
        { ...closed, description: '2 = twice as fast. Null when nothing is known.' },
      ),
    ),
    kernels: Type.Object(
      { measured: Type.Integer(), total: Type.Integer() },
      { ...closed, description: 'Distinct kernels of the model: measured in float and in the form, and all of them.' },
    ),
    basis: Type.String({ description: 'Where it comes from, or why there is none.' }),
  },
  {
    ...closed,
    description:
      "From times of this model's kernels that jobs measured on hosts of the same CPU, instruction sets, runtime and threads.",
  },
)

const suggestionSchema = Type.Object(
  {
    technique: Type.String({ description: 'Its name; that of the built-in recipe, where there is one.' }),
    advice: Type.Enum(['try', 'unlikely', 'unsuitable'], {
      description: 'Likely to help; possible, but not expected to help; does not fit.',
    }),
    estimate: nullable(
      Type.Object(
        {
          speedup: Type.Number({ description: '2 = twice as fast. A rule of thumb: only a job measures.' }),
          size_ratio: Type.Number({ description: 'New size / old size.' }),
        },
        closed,
      ),
    ),
    forecast: nullable(forecastSchema),
    reasons: Type.Array(Type.String()),
    needs: Type.Object(
      {
        calibration: Type.Boolean(),
        train: nullable(
          Type.Enum(['labels', 'samples'], {
            description: 'labels: a train dataset with labels. samples: a train or a calibration dataset.',
          }),
        ),
      },
      closed,
    ),
    recipe: openObject('The recipe, ready for POST /v1/jobs.'),
  },
  closed,
)

export const adviceSchema = Type.Object(
  {
    object: Type.Literal('advice'),
    model: idOf('mdl'),
    host: nullable(
      Type.Object(
        { id: idOf('hst'), device: Type.String(), isa: Type.Array(Type.String()), cores: Type.Integer() },
        { ...closed, description: 'The live worker that the advice is for; null when there is none for the device.' },
      ),
    ),
    suggestions: Type.Array(suggestionSchema, { description: 'The best first.' }),
    recipe: openObject('What to start with, given what there is.'),
    target: Type.Object(
      { threads: Type.Integer(), reason: Type.String() },
      { ...closed, description: "How many threads to ask for in a job's target." },
    ),
  },
  closed,
)
