import { Type, type Static } from 'typebox'
import { HastenError } from '../../../errors.ts'

const closed = { additionalProperties: false } as const
const maxVersions = 16

const version = Type.Integer({ minimum: 1, description: 'A version of this deployment.' })
const share = (description: string) => Type.Number({ minimum: 0, maximum: 1, description })
const names = (description: string) => Type.Array(Type.String({ maxLength: 512 }), { maxItems: 256, description })
const scores = Type.Enum(['softmax', 'probabilities'], {
  description: 'What `output` holds: logits, of which the softmax is taken, or probabilities.',
})

const tolerance = Type.Optional(
  Type.Number({
    minimum: 0,
    maximum: 1,
    description: 'Differences up to this part of the largest number of a row are agreement. Default 0.01.',
  }),
)

const splitSchema = Type.Array(
  Type.Object({ version, weight: Type.Number({ minimum: 0, maximum: 1e6, description: 'Relative.' }) }, closed),
  { minItems: 1, maxItems: maxVersions, description: 'Which versions answer, and how often.' },
)

const canarySchema = Type.Object(
  {
    version,
    weight: share('Of requests that the candidate answers at first.'),
    steps: Type.Optional(
      Type.Array(Type.Number({ exclusiveMinimum: 0, maximum: 1 }), {
        maxItems: 32,
        description: 'Further weights, ascending; after the last one the candidate becomes active.',
      }),
    ),
    min_requests: Type.Integer({
      minimum: 1,
      maximum: 1_000_000,
      description: 'Answers of the candidate that one replica must have seen in a step before it decides.',
    }),
    max_latency_ratio: Type.Number({
      exclusiveMinimum: 0,
      maximum: 1000,
      description: "Of the candidate's p50 and p99 to those of the active version.",
    }),
    max_error_rate: share('Of the requests that the candidate got.'),
    min_agreement: Type.Optional(share('Of the answers that were compared with those of the active version.')),
    tolerance,
  },
  { ...closed, description: 'A candidate that is promoted step by step, or rolled back.' },
)

const shadowSchema = Type.Object(
  {
    version,
    share: share('Of requests that the candidate also gets, unseen by clients.'),
    max_queue: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 1000, description: 'Copies that may wait; more are dropped. Default 16.' }),
    ),
    tolerance,
  },
  { ...closed, description: 'A candidate that gets copies of requests, and whose answers are only compared.' },
)

const cascadeSchema = Type.Object(
  {
    versions: Type.Array(version, { minItems: 2, maxItems: 2, description: 'The small one, then the large one.' }),
    output: Type.String({ maxLength: 512, description: 'Output whose largest probability is the confidence.' }),
    threshold: share('Rows below this confidence go on to the large version.'),
    scores: Type.Optional(scores),
  },
  { ...closed, description: 'A small version answers, and a large one what that is not sure of.' },
)

const ensembleSchema = Type.Object(
  {
    versions: Type.Array(version, { minItems: 2, maxItems: maxVersions }),
    method: Type.Enum(['mean', 'vote', 'weighted']),
    weights: Type.Optional(
      Type.Array(Type.Number({ minimum: 0, maximum: 1e6 }), { description: 'For `weighted`: one for each version.' }),
    ),
    scores: Type.Optional(
      Type.Enum(['softmax', 'probabilities'], {
        description:
          'With `softmax`, a mean is of the softmax along the last axis; by default, of the outputs themselves.',
      }),
    ),
    min_members: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: maxVersions,
        description: 'So many must answer; by default all. The answer is made of those that did.',
      }),
    ),
  },
  { ...closed, description: 'Several versions answer together.' },
)

const captureSchema = Type.Object(
  {
    share: share('Of requests whose inputs may be kept.'),
    max_samples: Type.Integer({ minimum: 1, maximum: 100_000 }),
    inputs: Type.Optional(names('Inputs that are kept; all of them when left out.')),
    omit: Type.Optional(names('Inputs that are never kept.')),
  },
  { ...closed, description: 'Keeps a sample of requests as data for calibration and distillation.' },
)

/** Who answers a request that names no version. */
export const trafficSchema = Type.Object(
  {
    split: Type.Optional(splitSchema),
    canary: Type.Optional(canarySchema),
    cascade: Type.Optional(cascadeSchema),
    ensemble: Type.Optional(ensembleSchema),
    shadow: Type.Optional(shadowSchema),
    capture: Type.Optional(captureSchema),
  },
  {
    ...closed,
    description: 'At most one of `split`, `canary`, `cascade` and `ensemble`; `shadow` and `capture` go with any.',
  },
)
export type Traffic = Static<typeof trafficSchema>

/** A version that the traffic names, and where. */
interface NamedVersion {
  readonly version: number
  /** JSON Pointer below `traffic`. */
  readonly pointer: string
}

export function versionsOfTraffic({ split, canary, cascade, ensemble, shadow }: Traffic): readonly NamedVersion[] {
  const listed = (versions: readonly number[] | undefined, pointer: string) =>
    (versions ?? []).map((each, index) => ({ version: each, pointer: `${pointer}/${index}` }))
  const single = (part: { version: number } | undefined, pointer: string) =>
    part === undefined ? [] : [{ version: part.version, pointer: `${pointer}/version` }]
  return [
    ...(split ?? []).map((part, index) => ({ version: part.version, pointer: `/split/${index}/version` })),
    ...single(canary, '/canary'),
    ...listed(cascade?.versions, '/cascade/versions'),
    ...listed(ensemble?.versions, '/ensemble/versions'),
    ...single(shadow, '/shadow'),
  ]
}

interface TrafficProblem {
  /** JSON Pointer below `traffic`. */
  readonly pointer: string
  readonly detail: string
}

/**
 * What the schema can't say of the traffic of a deployment.
 * @throws HastenError `invalid_request` with the pointer of what is wrong below `/traffic`
 */
export function checkTraffic(
  traffic: Traffic,
  deployment: { readonly active: number; readonly versions: ReadonlySet<number> },
): void {
  const problem = findProblem(traffic, deployment)
  if (problem !== undefined) throw trafficError(problem.pointer, problem.detail)
}

export function trafficError(below: string, detail: string): HastenError {
  const pointer = `/traffic${below}`
  return new HastenError('invalid_request', `${pointer}: ${detail}`, { errors: [{ pointer, detail }] })
}

function findProblem(
  traffic: Traffic,
  { active, versions }: Parameters<typeof checkTraffic>[1],
): TrafficProblem | undefined {
  const unknown = versionsOfTraffic(traffic).find((each) => !versions.has(each.version))
  if (unknown !== undefined) {
    return { pointer: unknown.pointer, detail: `the deployment has no version ${unknown.version}` }
  }
  const given = (['split', 'canary', 'cascade', 'ensemble'] as const).filter((name) => traffic[name] !== undefined)
  const [first, second] = given
  if (second !== undefined) return { pointer: `/${second}`, detail: `is given beside ${first}: choose one` }
  for (const name of ['canary', 'shadow'] as const) {
    if (traffic[name]?.version !== active) continue
    return { pointer: `/${name}/version`, detail: `version ${active} is the active one and can't be its own ${name}` }
  }
  return splitProblem(traffic) ?? canaryProblem(traffic) ?? severalProblem(traffic)
}

function splitProblem({ split }: Traffic): TrafficProblem | undefined {
  if (split === undefined) return undefined
  if (split.every(({ weight }) => weight === 0)) return { pointer: '/split', detail: 'needs a weight above 0' }
  const index = repeatedIndex(split.map((part) => part.version))
  return index === undefined ? undefined : { pointer: `/split/${index}/version`, detail: 'is named twice' }
}

function canaryProblem({ canary }: Traffic): TrafficProblem | undefined {
  if (canary === undefined) return undefined
  const weights = [canary.weight, ...(canary.steps ?? [])]
  const index = weights.findIndex((weight, at) => at > 0 && weight <= (weights[at - 1] ?? 0))
  if (index === -1) return undefined
  return { pointer: `/canary/steps/${index - 1}`, detail: 'is not above the weight before it' }
}

function severalProblem({ cascade, ensemble }: Traffic): TrafficProblem | undefined {
  for (const [name, part] of [['cascade', cascade] as const, ['ensemble', ensemble] as const]) {
    const index = part && repeatedIndex(part.versions)
    if (index !== undefined) return { pointer: `/${name}/versions/${index}`, detail: 'is named twice' }
  }
  return ensemble && ensembleProblem(ensemble)
}

function ensembleProblem(ensemble: NonNullable<Traffic['ensemble']>): TrafficProblem | undefined {
  const { versions, method, weights, min_members: least = 1 } = ensemble
  if (least > versions.length) {
    return { pointer: '/ensemble/min_members', detail: `is more than the ${versions.length} versions` }
  }
  const pointer = '/ensemble/weights'
  if ((method === 'weighted') !== (weights !== undefined)) {
    return { pointer, detail: "go with the method 'weighted', and only with that" }
  }
  if (weights === undefined) return undefined
  if (weights.length !== versions.length) {
    return { pointer, detail: `needs ${versions.length} weights, one for each version` }
  }
  return weights.every((weight) => weight === 0) ? { pointer, detail: 'needs a weight above 0' } : undefined
}

function repeatedIndex(versions: readonly number[]): number | undefined {
  const index = versions.findIndex((each, at) => versions.indexOf(each) < at)
  return index === -1 ? undefined : index
}
