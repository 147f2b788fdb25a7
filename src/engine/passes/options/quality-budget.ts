import { Type } from 'typebox'

/** How much quality a search may give up, and what it judges that on; the same for every pass that searches. */
export const qualityBudget = {
  maxDrop: Type.Optional(
    Type.Number({
      minimum: 0,
      maximum: 1,
      default: 0.005,
      description:
        'Most top-1 accuracy that may be lost, where the calibration dataset has labels: 0.005 is half a point.',
    }),
  ),
  maxDistance: Type.Optional(
    Type.Number({
      minimum: 0,
      maximum: 2,
      default: 0.001,
      description: 'Most that 1 − cosine to the outputs of the original may reach, where there are no labels.',
    }),
  ),
  evalSamples: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: 100_000,
      default: 64,
      description: 'Samples of the calibration dataset that each variant is judged on.',
    }),
  ),
}
