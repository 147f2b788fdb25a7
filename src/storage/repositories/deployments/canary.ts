import { isDeepStrictEqual } from 'node:util'
import { Type, type Static } from 'typebox'
import type { Traffic } from './traffic.ts'

const closed = { additionalProperties: false } as const

const estimateSchema = Type.Object({ value: Type.Number(), low: Type.Number(), high: Type.Number() }, closed)
const estimate = (description: string) =>
  Type.Union([estimateSchema, Type.Null()], {
    description: `${description}, with an interval of 95 %; null without data.`,
  })

/** What a step was decided by, as one server saw it. */
export const canaryFiguresSchema = Type.Object(
  {
    requests: Type.Integer({ description: 'Of the candidate, in this step.' }),
    active_requests: Type.Integer({ description: 'Of the active version, those the latencies are compared with.' }),
    error_rate: estimate('Share of the requests that failed'),
    p50_ratio: estimate("The candidate's median latency by that of the active version"),
    p99_ratio: estimate("The candidate's 99th percentile by that of the active version"),
    compared: Type.Integer({ description: 'Answers that were compared with those of the active version.' }),
    agreement: estimate('Share of these that agreed'),
  },
  closed,
)
export type CanaryFigures = Static<typeof canaryFiguresSchema>

/** The topic of a row under which a server tells what it sees of a step: its number and the figures. */
export const canaryTopic = 'canary'

const canaryStepSchema = Type.Object(
  {
    step: Type.Integer({ minimum: 0 }),
    weight: Type.Number(),
    outcome: Type.Enum(['advanced', 'promoted', 'rolled_back']),
    reason: Type.String(),
    server: Type.String({ description: 'The serve process that decided.' }),
    at: Type.String({ format: 'date-time' }),
    figures: canaryFiguresSchema,
  },
  closed,
)
type CanaryStep = Static<typeof canaryStepSchema>

/** How far a canary is, or how it ended; the same in the row and in the API. */
export const canaryStateSchema = Type.Object(
  {
    version: Type.Integer(),
    decision: Type.Enum(['running', 'promoted', 'rolled_back']),
    reason: Type.Union([Type.String(), Type.Null()]),
    step: Type.Integer({ minimum: 0, description: '0 is the first weight.' }),
    weight: Type.Number({ description: 'Of requests that the candidate answers now.' }),
    started_at: Type.String({ format: 'date-time' }),
    steps: Type.Array(canaryStepSchema, { description: 'Those that were decided, oldest first.' }),
  },
  closed,
)
export type CanaryState = Static<typeof canaryStateSchema>

/** Which step a decision is about: when the row is elsewhere by now, the decision is void. */
export interface CanaryPoint {
  readonly version: number
  readonly startedAt: string
  readonly step: number
}

export interface CanaryDecision extends Pick<CanaryStep, 'reason' | 'server' | 'figures'> {
  readonly passed: boolean
}

type Canary = NonNullable<Traffic['canary']>

interface CanaryRow {
  readonly active: number
  readonly traffic: Traffic
  readonly canary: CanaryState | null
}

/** The state that goes with new traffic or another active version: what is compared anew starts anew. */
export function canaryAfter(before: CanaryRow, after: Pick<CanaryRow, 'active' | 'traffic'>): CanaryState | null {
  const { canary: state } = before
  const wanted = after.traffic.canary
  // How the last one ended stays readable.
  if (wanted === undefined) return state?.decision === 'running' ? null : state
  const isSame = before.active === after.active && isDeepStrictEqual(before.traffic.canary, wanted)
  return isSame && state !== null ? state : startCanary(wanted)
}

function startCanary({ version, weight }: Canary): CanaryState {
  const started_at = new Date().toISOString()
  return { version, decision: 'running', reason: null, step: 0, weight, started_at, steps: [] }
}

/** The row after a decision; undefined when that was about something that is past. */
export function applyDecision(
  { active, traffic, canary: state }: CanaryRow,
  point: CanaryPoint,
  { passed, reason, server, figures }: CanaryDecision,
): (CanaryRow & { readonly canary: CanaryState }) | undefined {
  const { canary: wanted, ...others } = traffic
  if (wanted === undefined || state?.decision !== 'running') return undefined
  if (!isDeepStrictEqual(point, { version: state.version, startedAt: state.started_at, step: state.step })) {
    return undefined
  }
  const { step, weight, version } = state
  const next = passed ? wanted.steps?.[step] : undefined
  const outcome = passed ? (next === undefined ? 'promoted' : 'advanced') : 'rolled_back'
  const decided: CanaryStep = { step, weight, outcome, reason, server, at: new Date().toISOString(), figures }
  const steps = [...state.steps, decided]
  if (outcome === 'advanced') {
    return { active, traffic, canary: { ...state, step: step + 1, weight: next ?? weight, steps } }
  }
  const canary: CanaryState = { ...state, decision: outcome, reason, weight: passed ? 1 : 0, steps }
  return passed
    ? { active: version, traffic: withoutShadowOf(others, version), canary }
    : { active, traffic: others, canary }
}

/** A candidate that has become active can't be its own shadow. */
function withoutShadowOf({ shadow, ...others }: Traffic, version: number): Traffic {
  return shadow === undefined || shadow.version === version ? others : { ...others, shadow }
}
