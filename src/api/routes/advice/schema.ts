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
    batch: Type.Integer({ minimum: 1, maximum: 4096, default: 1, description: 'Samples of one run.' }),
  },
  { ...closed, default: {} },
)

const suggestionSchema = Type.Object(
  {
    technique: Type.String({ description: 'Name of the built-in recipe.' }),
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
    reasons: Type.Array(Type.String()),
    needs: Type.Object({ calibration: Type.Boolean() }, closed),
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
  },
  closed,
)
