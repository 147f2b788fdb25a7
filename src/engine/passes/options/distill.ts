import { Type } from 'typebox'
import { learningRateOf, temperatureOption, trainingOptions } from './training-shared.ts'

const valueName = (description: string) => Type.String({ minLength: 1, maxLength: 512, description })

export const distillOptions = Type.Object(
  {
    ...trainingOptions,
    learningRate: learningRateOf(1e-3),
    teachers: Type.Optional(
      Type.Array(
        Type.String({ pattern: '^(original|mdl_[0-9a-z]{26})$', description: 'original, or the id of a model.' }),
        {
          default: ['original'],
          minItems: 1,
          maxItems: 16,
          uniqueItems: true,
          description:
            'Models to learn from. original: the model of the job, as it was before the recipe. Several are an ensemble: their logits are averaged.',
        },
      ),
    ),
    alpha: Type.Optional(
      Type.Number({
        minimum: 0,
        maximum: 1,
        default: 0,
        description: 'Weight of the labels: α·L + (1 − α)·T²·KL(teacher ‖ student). With 0 no labels are needed.',
      }),
    ),
    temperature: temperatureOption,
    features: Type.Optional(
      Type.Array(
        Type.Object(
          {
            student: valueName('Name of a value in the model that learns.'),
            teacher: valueName('Name of a value of the same dims in the first teacher.'),
            weight: Type.Optional(Type.Number({ exclusiveMinimum: 0, maximum: 1e6, default: 1 })),
          },
          { additionalProperties: false },
        ),
        { default: [], maxItems: 256, description: 'Values inside the model that are to become like the teacher’s.' },
      ),
    ),
  },
  { additionalProperties: false },
)
