import { Type } from 'typebox'
import { learningRateOf, temperatureOption, trainingOptions } from './training-shared.ts'

export const finetuneOptions = Type.Object(
  {
    ...trainingOptions,
    learningRate: learningRateOf(1e-3),
    withoutLabels: Type.Optional(
      Type.Enum(['refuse', 'distill'], {
        default: 'refuse',
        description:
          'What to do with samples that have no labels. distill: learn what the original model says to them, from the train or else ' +
          'the calibration dataset.',
      }),
    ),
    temperature: temperatureOption,
  },
  { additionalProperties: false },
)
