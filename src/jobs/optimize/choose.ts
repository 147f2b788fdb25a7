import {
  allPassed,
  evaluateGates,
  parseGates,
  type Evidence,
  type Gate,
  type GateResult,
  type PairMetric,
  type QualityMetric,
  type QualityReport,
} from '../../engine/index.ts'
import type { OptimizedModel } from './transform.ts'

/** Inputs made up because the job has no dataset say little about quality; whoever reads the verdict must know. */
export interface JudgedQuality {
  readonly report: QualityReport
  readonly generated: boolean
}

/** An optimized model, measured and judged against the original. */
export interface Trial {
  readonly name: string
  readonly optimized: OptimizedModel
  readonly evidence: Evidence
  readonly quality: JudgedQuality
}

/** What a job settles on. */
export interface Choice {
  /** The trial that the verdict's numbers are about: the one that won, else the best that didn't. */
  readonly subject: Trial
  readonly gates: readonly GateResult[]
  /** Whether the subject replaces the original. */
  readonly won: boolean
  /** One sentence a person can act on. */
  readonly reason: string
  /** Whether each trial passes every gate, in the order given. */
  readonly passed: readonly boolean[]
  /** Whether the original does. */
  readonly originalPasses: boolean
}

/** At the same speed a model replaces the original only when its file is smaller by more than re-encoding explains. */
const smallerRatio = 0.95

/** Two copies of one model differ by as much on a busy host. */
const asFastRatio = 0.95

/**
 * The fastest model that passes the gates, the original among them. The original stays unless another is certainly
 * faster, or is as fast and smaller, or passes gates that the original itself does not.
 */
export function chooseModel(gates: readonly string[], trials: readonly [Trial, ...Trial[]]): Choice {
  const parsed = parseGates(gates)
  const judged = trials.map((trial) => judgeTrial(parsed, trial))
  const ranked = judged.toSorted((a, b) => rankOf(b) - rankOf(a) || speedOf(b) - speedOf(a))
  const [best = judgeTrial(parsed, trials[0])] = ranked
  const { trial, results, won, missed } = best
  const passed = judged.map((each) => each.passed)
  return { subject: trial, gates: results, won, reason: describe(best), passed, originalPasses: missed === undefined }
}

interface Judged {
  readonly trial: Trial
  readonly results: readonly GateResult[]
  readonly passed: boolean
  readonly won: boolean
  /** A gate that the original itself fails. */
  readonly missed: GateResult | undefined
}

function judgeTrial(gates: readonly Gate[], trial: Trial): Judged {
  const { evidence, quality } = trial
  const results = evaluateGates(gates, evidence, quality.report)
  const passed = allPassed(results)
  const missed = evaluateGates(gates, unchanged(evidence), ideal(quality.report)).find((result) => !result.passed)
  // What differs in nothing is never better, whatever two measurements of it say.
  const won = passed && trial.optimized.changed && (isBetter(trial) || missed !== undefined)
  return { trial, results, passed, won, missed }
}

function isBetter({ evidence }: Trial): boolean {
  if (evidence.significance !== 'same') return evidence.significance === 'faster'
  return !isDoubtful(evidence) && sizeRatio(evidence) <= smallerRatio
}

/**
 * More likely slower than not, if within what a noisy host calls the same: the whole interval is below 1, or it is wide
 * and its middle clearly is. A smaller file is no reason to risk that.
 */
function isDoubtful({ significance, speedup }: Evidence): boolean {
  return significance === 'same' && (speedup.ci95[1] < 1 || speedup.p50 < asFastRatio)
}

const rankOf = ({ won, passed }: Judged) => Number(won) * 2 + Number(passed)
const speedOf = ({ trial }: Judged) => trial.evidence.speedup.p50

/** Optimized / original size. */
export function sizeRatio({ optimized, baseline }: Evidence): number {
  return optimized.size_bytes / baseline.size_bytes
}

/** What the original measures against itself. */
function unchanged(evidence: Evidence): Evidence {
  return { ...evidence, optimized: evidence.baseline, speedup: { p50: 1, ci95: [1, 1] }, significance: 'same' }
}

const perfect: Readonly<Record<PairMetric, number>> = { agreement: 1, cosine: 1, max_abs: 0, sqnr: 200, kl: 0 }

function ideal(report: QualityReport): QualityReport {
  return { ...report, metrics: report.metrics.map(idealMetric) }
}

function idealMetric(row: QualityMetric): QualityMetric {
  if (row.baseline !== null) return { ...row, optimized: row.baseline, delta: 0 }
  return { ...row, optimized: perfect[row.metric as PairMetric] }
}

function describe(judged: Judged): string {
  const { trial, results, won, passed, missed } = judged
  const failed = results.find((result) => !result.passed)
  const { changed, untouched } = trial.optimized
  const aside = untouched === undefined ? '' : `: ${untouched}`
  if (!changed) return `${trial.name} found nothing to change in this model${aside}. ${stays}`
  if (!passed) return `${trial.name} fails the gate ${failed?.expr}: ${failed?.detail}. ${stays}`
  const made = untouched === undefined ? trial.name : `${trial.name} made lossless rewrites only (${untouched}) and`
  const speed = `${made} is ${describeSpeed(trial.evidence)}`
  if (!won) return `${speed}. ${stays}`
  const isGain = trial.evidence.significance === 'faster'
  if (missed !== undefined && !isGain) return `${speed}; it passes ${missed.expr}, which the original does not.`
  return isGain ? `${speed}.` : `${speed}, and has ${percent(sizeRatio(trial.evidence))} of its size.`
}

const stays = 'The original stays the result.'

function describeSpeed(evidence: Evidence): string {
  const { significance, speedup } = evidence
  if (significance === 'faster') return `${speedup.p50.toFixed(2)} times as fast as the original on this host`
  if (significance === 'slower') return `${(1 / speedup.p50).toFixed(2)} times slower than the original on this host`
  if (isDoubtful(evidence)) return 'probably slower than the original, by no more than this host varies by itself'
  return 'not measurably faster or slower than the original on this host'
}

function percent(ratio: number): string {
  return `${(ratio * 100).toFixed(0)} %`
}
