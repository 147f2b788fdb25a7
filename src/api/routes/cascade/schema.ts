import { Type, type Static } from 'typebox'
import type { CascadePoint } from '../../../engine/schemas.ts'
import type { CascadeInspection } from '../../../jobs/inspect/contract.ts'
import { closed, idOf, nameSchema, nullable } from '../../schemas/common.ts'

const share = (description: string) => Type.Number({ minimum: 0, maximum: 1, description })
const versions = Type.Array(Type.Integer({ minimum: 1 }), { minItems: 2, maxItems: 2 })
const scores = Type.Enum(['softmax', 'probabilities'])

export const thresholdRequest = Type.Object(
  {
    dataset: idOf('dst', 'Evaluation samples; without labels the large version is taken to be right.'),
    min_accuracy: Type.Optional(share('What the choice must reach. Default: the accuracy of the large version.')),
    samples: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 100_000, description: 'The first so many of the dataset. Default 1000.' }),
    ),
    versions: Type.Optional(versions),
    output: Type.Optional(Type.String({ maxLength: 512 })),
    scores: Type.Optional(scores),
  },
  {
    ...closed,
    description: "`versions`, `output` and `scores` are those of the deployment's cascade where left out.",
  },
)
export type ThresholdRequest = Static<typeof thresholdRequest>

const pointSchema = Type.Object(
  {
    threshold: share('Samples of less confidence go on.'),
    accuracy: Type.Number(),
    share: share('Of the samples that go on to the large version.'),
    latency_ms: Type.Number({ description: 'Expected for one sample, by the medians of the runs.' }),
  },
  closed,
)

const versionSchema = Type.Object(
  {
    version: Type.Integer(),
    accuracy: Type.Number(),
    latency_ms: Type.Number({ description: 'Median of the runs of one sample.' }),
  },
  closed,
)

export const thresholdsSchema = Type.Object(
  {
    object: Type.Literal('cascade_thresholds'),
    deployment: nameSchema,
    output: Type.String(),
    scores,
    samples: Type.Integer(),
    judged_by: Type.Enum(['labels', 'large']),
    small: versionSchema,
    large: versionSchema,
    choice: nullable(
      Type.Object(
        {
          ...pointSchema.properties,
          delta_ci95: nullable(
            Type.Tuple([Type.Number(), Type.Number()], {
              description: 'Accuracy less that of the large version alone: 95 % over the samples.',
            }),
          ),
        },
        closed,
      ),
    ),
    points: Type.Array(pointSchema, { description: 'From none that go on to all.' }),
  },
  closed,
)
type Thresholds = Static<typeof thresholdsSchema>

/** What a cascade is made of, wherever it was said. */
export interface NamedCascade {
  readonly versions: readonly [number, number]
  readonly output: string
  readonly scores: Thresholds['scores']
}

export function renderThresholds(
  deployment: string,
  { versions: [small, large], output, scores: scale }: NamedCascade,
  found: CascadeInspection,
): Thresholds {
  return {
    object: 'cascade_thresholds',
    deployment,
    output,
    scores: scale,
    samples: found.samples,
    judged_by: found.judgedBy,
    small: { version: small, accuracy: found.small, latency_ms: found.smallMs },
    large: { version: large, accuracy: found.large, latency_ms: found.largeMs },
    choice: found.choice && {
      ...renderPoint(found.choice),
      delta_ci95: found.deltaInterval && [...found.deltaInterval],
    },
    points: found.points.map(renderPoint),
  }
}

function renderPoint({ threshold, accuracy, share: sent, latencyMs }: CascadePoint) {
  return { threshold, accuracy, share: sent, latency_ms: latencyMs }
}
