import type { Evidence, GateResult, QualityReport } from '../../engine/index.ts'
import { sizeRatio, type Choice } from './choose.ts'

/** The verdict of a job as it is stored and answered; field names are those of the API. */
export interface Verdict {
  /** A model was made that passes every gate and is better than the original, which stays the result otherwise. */
  readonly passed: boolean
  /** Why, in a sentence. */
  readonly reason: string
  /** The candidate that the numbers below are about: the result, or the best that did not become it. */
  readonly candidate: string
  readonly significance: Evidence['significance']
  readonly speedup: Evidence['speedup']
  /** What the host calls a difference at rest: the baseline against a copy of itself. */
  readonly noise: Evidence['noise']
  /** Optimized / original size. */
  readonly size_ratio: number
  readonly quality: QualityReport['metrics']
  /** What quality was judged on: labels or the original's outputs, and how many samples. */
  readonly quality_basis: {
    readonly task: QualityReport['task']
    readonly samples: number
    readonly generated: boolean
  }
  readonly gates: readonly GateResult[]
  readonly method: Evidence['method']
}

/** The verdict on what a job settled on. "Not faster" is a verdict like any other. */
export function judgeJob({ subject, gates, won, reason }: Choice): Verdict {
  const { name, evidence, quality } = subject
  const { report, generated } = quality
  return {
    passed: won,
    reason,
    candidate: name,
    significance: evidence.significance,
    speedup: evidence.speedup,
    noise: evidence.noise,
    size_ratio: sizeRatio(evidence),
    quality: report.metrics,
    quality_basis: { task: report.task, samples: report.samples, generated },
    gates,
    method: evidence.method,
  }
}
