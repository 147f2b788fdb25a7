import {
  allPassed,
  evaluateGates,
  parseGates,
  type Evidence,
  type GateResult,
  type QualityReport,
} from '../../engine/index.ts'

/** The verdict of a job as it is stored and answered; field names are those of the API. */
export interface Verdict {
  /** All gates hold. Says nothing about speed unless a gate asks for it. */
  readonly passed: boolean
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

/** Inputs made up because the job has no dataset say little about quality; whoever reads the verdict must know. */
export interface JudgedQuality {
  readonly report: QualityReport
  readonly generated: boolean
}

/** Holds the evidence against the gates. "Not faster" is a verdict like any other. */
export function judgeJob(gates: readonly string[], evidence: Evidence, { report, generated }: JudgedQuality): Verdict {
  const results = evaluateGates(parseGates(gates), evidence, report)
  return {
    passed: allPassed(results),
    significance: evidence.significance,
    speedup: evidence.speedup,
    noise: evidence.noise,
    size_ratio: evidence.optimized.size_bytes / evidence.baseline.size_bytes,
    quality: report.metrics,
    quality_basis: { task: report.task, samples: report.samples, generated },
    gates: results,
    method: evidence.method,
  }
}
