import { Type, type Static } from 'typebox'
import { canaryFiguresSchema } from '../../../storage/index.ts'
import { closed, nullable } from '../../schemas/common.ts'

const count = (description: string) => Type.Integer({ minimum: 0, description })
const share = (description: string) => nullable(Type.Number({ minimum: 0, maximum: 1, description }))
const drift = (description: string) => nullable(Type.Number({ description }))

const shadowReportSchema = Type.Object(
  {
    compared_with: Type.Integer({ description: 'The active version at that time.' }),
    servers: count('That have told.'),
    compared: count('Answers.'),
    agreement: share('Of these, those that agree.'),
    failed: count('Copies that only the shadow failed on.'),
    dropped: count('Copies there was no time or no place for.'),
    mismatched: count('Answers of other outputs, dims or dtypes.'),
    rows: count('Rows of scores and integers.'),
    top1_flips: count('Rows of another best class, or another integer.'),
    flip_rate: share('Of the rows.'),
    max_abs: Type.Number({ description: 'Largest difference of two numbers.' }),
    mean_cosine: nullable(Type.Number()),
    min_cosine: nullable(Type.Number()),
    latency_ratio: nullable(Type.Number({ description: 'Mean run of the shadow to that of the other.' })),
    drift: Type.Object(
      {
        active: drift('Of the answers that clients get.'),
        shadow: drift('Of those of the shadow.'),
      },
      {
        ...closed,
        description: 'Mean output of the latest answers less that of the first, in standard deviations of the first.',
      },
    ),
    last_mismatch: nullable(Type.String()),
    last_error: nullable(Type.String()),
  },
  closed,
)
export type ShadowReport = Static<typeof shadowReportSchema>

const canaryReportSchema = Type.Object(
  {
    server: Type.String(),
    step: Type.Integer({ minimum: 0 }),
    figures: canaryFiguresSchema,
  },
  closed,
)

/** What the parts of the traffic have measured of a version. */
export const trafficReportSchema = Type.Object(
  {
    shadow: nullable(shadowReportSchema),
    canary: Type.Array(canaryReportSchema, {
      description: 'What each server has seen of this version as a canary, in the step it was at last.',
    }),
    cascade: nullable(
      Type.Object(
        {
          rows: count('Answered by the cascade whose small version this is.'),
          forwarded: count('Of these, by the large version.'),
          rate: share('Of the rows that went on.'),
        },
        closed,
      ),
    ),
  },
  closed,
)
export type TrafficReport = Static<typeof trafficReportSchema>
