import type { CanaryFigures } from '../../storage/index.ts'
import { quantileRatio, type LatencyWindow } from './latency-window.ts'
import type { TrafficPlan } from './plan.ts'
import { chanceOfAtLeast, shareOf, type Estimate } from './rates.ts'

type CanaryOptions = Pick<
  NonNullable<TrafficPlan['canary']>,
  'min_requests' | 'max_latency_ratio' | 'max_error_rate' | 'min_agreement'
>

/** What one process has seen of a candidate in one step, beside the active version. */
export interface CanaryEvidence {
  readonly requests: number
  readonly failures: number
  readonly candidate: LatencyWindow
  readonly active: LatencyWindow
  readonly compared: number
  readonly agreed: number
}

interface CanaryVerdict {
  readonly passed: boolean
  readonly reason: string
}

/** Chance of a wrong roll back that is looked for at every look, and at the end of a step. */
const early = { chance: 0.001, z: 3.29 }
const late = { chance: 0.025, z: 1.96 }
/** A step whose candidate is neither clearly worse nor good enough ends after so many times its requests. */
const patience = 10
/** Of the requests of a step, those whose answers must have been compared. */
const comparedShare = 0.1

export function figuresOf({ requests, failures, candidate, active, compared, agreed }: CanaryEvidence): CanaryFigures {
  const [ofCandidate, ofActive] = [candidate.sorted(), active.sorted()]
  return {
    requests,
    active_requests: active.count,
    error_rate: shareOf(failures, requests),
    p50_ratio: quantileRatio(ofCandidate, ofActive, 0.5, late.z),
    p99_ratio: quantileRatio(ofCandidate, ofActive, 0.99, late.z),
    compared,
    agreement: shareOf(agreed, compared),
  }
}

/**
 * Whether a candidate passes its step; undefined while that is open. It is rolled back as soon as it is surely worse
 * than allowed, with more certainty asked for before the step has its requests, since there are many looks at it. It
 * passes when the step has its requests and what was measured is within the limits.
 */
export function decideStep(evidence: CanaryEvidence, options: CanaryOptions): CanaryVerdict | undefined {
  const isFull = evidence.requests >= options.min_requests
  const worse = findWorse(evidence, options, isFull ? late : early)
  if (worse !== undefined) return { passed: false, reason: worse }
  if (!isFull) return undefined
  const missing = findMissing(evidence, options)
  if (missing === undefined) return { passed: true, reason: praise(evidence) }
  if (evidence.requests < patience * options.min_requests) return undefined
  return { passed: false, reason: `after ${evidence.requests} requests ${missing}` }
}

/** What surely breaks a limit. */
function findWorse(evidence: CanaryEvidence, options: CanaryOptions, { chance, z }: typeof early): string | undefined {
  const { requests, failures, compared, agreed, candidate, active } = evidence
  const { max_error_rate: maxErrors, max_latency_ratio: maxRatio, min_agreement: minAgreement } = options
  if (chanceOfAtLeast(failures, requests, maxErrors) < chance) {
    return `${failures} of ${requests} requests failed; ${percent(maxErrors)} may`
  }
  const [ofCandidate, ofActive] = [candidate.sorted(), active.sorted()]
  for (const [name, q] of quantiles) {
    const ratio = quantileRatio(ofCandidate, ofActive, q, z)
    if (ratio === null || ratio.low <= maxRatio) continue
    return `the ${name} latency is ${times(ratio)} that of the active version; ${maxRatio} times is allowed`
  }
  if (minAgreement === undefined || chanceOfAtLeast(compared - agreed, compared, 1 - minAgreement) >= chance) {
    return undefined
  }
  return `${agreed} of ${compared} compared answers agree with the active version; ${percent(minAgreement)} must`
}

const quantiles = [
  ['p50', 0.5],
  ['p99', 0.99],
] as const

/** What is not within its limit, or not known, though not surely beyond it. */
function findMissing(evidence: CanaryEvidence, options: CanaryOptions): string | undefined {
  const { requests, failures, compared, agreed } = evidence
  const { p50_ratio: ratio } = figuresOf(evidence)
  if (failures / requests > options.max_error_rate) return `${failures} have failed`
  if (ratio === null) return 'there are too few of the active version to compare the latency with'
  if (ratio.value > options.max_latency_ratio) return `the p50 latency is ${times(ratio)} that of the active version`
  if (options.min_agreement === undefined) return undefined
  const needed = Math.ceil(options.min_requests * comparedShare)
  if (compared < needed) return `only ${compared} answers could be compared, of ${needed} that must be`
  return agreed / compared < options.min_agreement ? `${agreed} of ${compared} compared answers agree` : undefined
}

function praise(evidence: CanaryEvidence): string {
  const { requests, failures, compared, agreed } = evidence
  const { p50_ratio: ratio } = figuresOf(evidence)
  const latency = ratio === null ? '' : `, p50 latency ${times(ratio)} that of the active version`
  return `${requests} requests: ${failures} failed${latency}, ${agreed} of ${compared} compared answers agree`
}

function times({ value, low, high }: Estimate): string {
  return `${value.toFixed(2)} times (${low.toFixed(2)} to ${high.toFixed(2)})`
}

function percent(share: number): string {
  return `${Number((share * 100).toPrecision(3))} %`
}
