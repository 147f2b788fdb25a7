import type { Evidence, ModelEvidence } from '../measure/evidence.ts'
import type { QualityReport } from '../measure/quality/report.ts'
import { gateMetrics, type Dimension, type GateMetric } from './metrics.ts'
import type { Comparison, Gate } from './parse.ts'

export interface GateResult {
  readonly expr: string
  readonly passed: boolean
  /** In the metric's own unit (milliseconds, bytes, runs a second, fractions); null when it wasn't measured. */
  readonly value: number | null
  /** In the same unit; null when the baseline wasn't measured. */
  readonly threshold: number | null
  /** A sentence a person can act on. */
  readonly detail: string
}

interface Reading {
  readonly value: number
  readonly baseline: number | null
}

const modelReadings: Partial<Record<GateMetric, (model: ModelEvidence) => number>> = {
  p50: ({ latency }) => latency.p50_ms,
  p90: ({ latency }) => latency.p90_ms,
  p95: ({ latency }) => latency.p95_ms,
  p99: ({ latency }) => latency.p99_ms,
  throughput: ({ throughput }) => throughput,
  fps: (model) => model.frames_per_second,
  size: (model) => model.size_bytes,
  memory: (model) => model.peak_memory_bytes,
  cold_start: (model) => model.cold_start_ms,
}

/** Slack for the rounding of `0.98 - 0.005`: a part in a billion of the larger side. */
const relativeSlack = 1e-9

const comparisonTests: Record<Comparison, (value: number, threshold: number, slack: number) => boolean> = {
  '>=': (value, threshold, slack) => value >= threshold - slack,
  '<=': (value, threshold, slack) => value <= threshold + slack,
  '>': (value, threshold, slack) => value > threshold + slack,
  '<': (value, threshold, slack) => value < threshold - slack,
  '==': (value, threshold, slack) => Math.abs(value - threshold) <= slack,
}

/** Evaluates gates against what was measured. A gate on something that wasn't measured fails and says so. */
export function evaluateGates(gates: readonly Gate[], evidence?: Evidence, quality?: QualityReport): GateResult[] {
  return gates.map((gate) => evaluateGate(gate, evidence, quality))
}

/** True when every gate passed; a job without gates passes. */
export function allPassed(results: readonly GateResult[]): boolean {
  return results.every((result) => result.passed)
}

function evaluateGate(gate: Gate, evidence?: Evidence, quality?: QualityReport): GateResult {
  const { expr, metric, scale, offset } = gate
  const reading = readMetric(metric, evidence, quality)
  if (reading === undefined || !Number.isFinite(reading.value)) {
    return { expr, passed: false, value: null, threshold: null, detail: explainAbsence(metric, evidence, quality) }
  }
  const { value, baseline } = reading
  if (scale !== 0 && (baseline === null || !Number.isFinite(baseline))) {
    const detail = `${metric} of the baseline was not measured`
    return { expr, passed: false, value, threshold: null, detail }
  }
  const threshold = scale * (baseline ?? 0) + offset
  const slack = relativeSlack * Math.max(Math.abs(value), Math.abs(threshold))
  const passed = comparisonTests[gate.comparison](value, threshold, slack)
  const detail = describeResult(gate, value, threshold, baseline) + describeScale(metric, quality)
  return { expr, passed, value, threshold, detail }
}

function readMetric(metric: GateMetric, evidence?: Evidence, quality?: QualityReport): Reading | undefined {
  const read = modelReadings[metric]
  if (read !== undefined) {
    return evidence && { value: read(evidence.optimized), baseline: read(evidence.baseline) }
  }
  if (metric === 'speedup') return evidence && { value: evidence.speedup.p50, baseline: null }
  const row = quality?.metrics.find((row) => row.metric === metric)
  return row && { value: row.optimized, baseline: row.baseline }
}

function explainAbsence(metric: GateMetric, evidence?: Evidence, quality?: QualityReport): string {
  const isTiming = metric in modelReadings || metric === 'speedup'
  if (isTiming && evidence === undefined) return `${metric} was not measured: the models were not timed`
  if (isTiming) return `${metric} could not be measured on this host`
  if (quality === undefined) return `${metric} was not measured: no dataset to judge quality with`
  const measured = quality.metrics.map((row) => row.metric).join(', ')
  const needsLabels = gateMetrics[metric].hasBaseline && quality.task === 'agreement'
  const reason = needsLabels ? 'the dataset has no labels' : `it does not fit the task (${quality.task})`
  return `${metric} was not measured: ${reason}; measured: ${measured}`
}

function describeResult(gate: Gate, value: number, threshold: number, baseline: number | null): string {
  const { dimension } = gateMetrics[gate.metric]
  const reference = gate.scale !== 0 && baseline !== null ? ` (baseline ${formatAmount(baseline, dimension)})` : ''
  const wanted = `${gate.comparison} ${formatAmount(threshold, dimension)}`
  return `${gate.metric} is ${formatAmount(value, dimension)}, wanted ${wanted}${reference}`
}

/**
 * Relative errors say nothing of outputs near zero (a detector that finds nothing): the absolute one stands beside them.
 */
function describeScale(metric: GateMetric, quality?: QualityReport): string {
  if (metric !== 'sqnr' && metric !== 'cosine') return ''
  const row = quality?.metrics.find((row) => row.metric === 'max_abs')
  return row === undefined ? '' : `; the largest difference is ${round(row.optimized)}`
}

const formats: Record<Dimension, (value: number) => string> = {
  fraction: (value) => round(value),
  plain: (value) => round(value),
  time: (value) => `${round(value)} ms`,
  bytes: (value) => (Math.abs(value) < 1e6 ? `${round(value / 1e3)} KB` : `${round(value / 1e6)} MB`),
  rate: (value) => `${round(value)}/s`,
  ratio: (value) => `${round(value)}x`,
  decibel: (value) => `${round(value)} dB`,
}

function formatAmount(value: number, dimension: Dimension): string {
  return formats[dimension](value)
}

function round(value: number): string {
  return String(Number(value.toPrecision(5)))
}
