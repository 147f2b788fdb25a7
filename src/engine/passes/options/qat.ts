import { Type } from 'typebox'
import { quantizeStaticOptions } from './quantize-static.ts'
import { learningRateOf, temperatureOption, trainingOptions } from './training-shared.ts'

const { symmetricActivations, perChannel, reduceRange, ops, exclude, keepHeads, calibration, equalize } =
  quantizeStaticOptions.properties

export const qatOptions = Type.Object(
  {
    activations: Type.Optional(
      Type.Enum(['auto', 'uint8', 'int8'], {
        default: 'auto',
        description: 'Type of quantized activations. auto: as in quantize.static.',
      }),
    ),
    weights: Type.Optional(
      Type.Enum(['auto', 'int8', 'int4'], {
        default: 'auto',
        description:
          'Type of quantized weights. auto: int8. Those of 4 bits take half the space of 8, and are not faster on CPUs.',
      }),
    ),
    symmetricActivations,
    perChannel,
    reduceRange,
    ops,
    exclude,
    keepHeads,
    calibration,
    equalize,
    ranges: Type.Optional(
      Type.Enum(['fixed', 'learned'], {
        default: 'fixed',
        description:
          'Ranges of activations. fixed: as calibrated. learned: trained along with the weights (learned step sizes).',
      }),
    ),
    learnFrom: Type.Optional(
      Type.Enum(['auto', 'labels', 'original'], {
        default: 'auto',
        description:
          'original: what the model of the job, as it was before the recipe, says to the samples. auto: labels where the train dataset has some, else the original.',
      }),
    ),
    temperature: temperatureOption,
    ...trainingOptions,
    learningRate: learningRateOf(1e-4),
  },
  { additionalProperties: false },
)
