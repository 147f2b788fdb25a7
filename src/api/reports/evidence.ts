import type { CandidateRow, JobDetail, JsonObject } from '../../storage/index.ts'

export type Unit = 'ms' | 'per_second' | 'bytes' | 'fraction' | 'plain'
type Direction = 'better' | 'worse' | 'same'

/** How far the optimized model is from the baseline. */
export interface Change {
  /** `speedup` is baseline / optimized, `ratio` optimized / baseline, `difference` optimized − baseline. */
  readonly kind: 'speedup' | 'ratio' | 'difference'
  readonly value: number
  readonly ci95: readonly [number, number] | null
}

/** One line of the evidence table. */
export interface EvidenceRow {
  readonly metric: string
  readonly label: string
  readonly unit: Unit
  readonly baseline: number | null
  readonly optimized: number | null
  readonly change: Change | null
  /** Null where one number says nothing of its own noise. */
  readonly direction: Direction | null
}

interface MetricRow {
  readonly metric: string
  readonly label: string
  readonly unit: Unit
  readonly path: readonly string[]
  readonly kind: 'speedup' | 'ratio'
}

/** What is shown of a measurement, in this order. */
const measuredRows: readonly MetricRow[] = [
  { metric: 'p50', label: 'p50 latency', unit: 'ms', path: ['latency', 'p50_ms'], kind: 'speedup' },
  { metric: 'p90', label: 'p90 latency', unit: 'ms', path: ['latency', 'p90_ms'], kind: 'speedup' },
  { metric: 'p95', label: 'p95 latency', unit: 'ms', path: ['latency', 'p95_ms'], kind: 'speedup' },
  { metric: 'p99', label: 'p99 latency', unit: 'ms', path: ['latency', 'p99_ms'], kind: 'speedup' },
  { metric: 'throughput', label: 'Throughput', unit: 'per_second', path: ['throughput'], kind: 'ratio' },
  { metric: 'fps', label: 'Samples', unit: 'per_second', path: ['frames_per_second'], kind: 'ratio' },
  { metric: 'size', label: 'Size', unit: 'bytes', path: ['size_bytes'], kind: 'ratio' },
  { metric: 'memory', label: 'Peak memory', unit: 'bytes', path: ['peak_memory_bytes'], kind: 'ratio' },
  { metric: 'cold_start', label: 'Cold start', unit: 'ms', path: ['cold_start_ms'], kind: 'speedup' },
]

/** Metrics where less is better. */
const losses: ReadonlySet<string> = new Set(['mae', 'mse', 'max_abs', 'kl'])
const fractions: ReadonlySet<string> = new Set(['top1', 'top5', 'f1', 'agreement'])

export interface Measured {
  readonly baseline: CandidateRow | undefined
  readonly optimized: CandidateRow | undefined
}

/** The two models a job's claim is about. Where the original stayed, the claim is about the best of the others. */
export function findMeasured({ candidates, verdict }: Pick<JobDetail, 'candidates' | 'verdict'>): Measured {
  const baseline = candidates.findLast(({ role }) => role === 'baseline')
  const others = candidates.filter((row) => row !== baseline)
  const optimized =
    others.findLast(({ role }) => role === 'chosen') ?? others.find(({ name }) => name === verdict?.['candidate'])
  return { baseline, optimized }
}

/** The evidence table: what was measured of both models, then their quality. Empty when nothing was measured. */
export function listEvidence(job: Pick<JobDetail, 'candidates' | 'verdict'>): EvidenceRow[] {
  const measured = findMeasured(job)
  const verdict = job.verdict ?? {}
  const rows = measuredRows.map((row) => toMeasuredRow(row, measured, verdict)).filter((row) => row !== undefined)
  return [...rows, ...listQuality(verdict)]
}

function toMeasuredRow(
  { path, kind, ...row }: MetricRow,
  measured: Measured,
  verdict: JsonObject,
): EvidenceRow | undefined {
  const baseline = readNumber(measured.baseline?.measurement, path)
  const optimized = readNumber(measured.optimized?.measurement, path)
  if (baseline === null && optimized === null) return undefined
  const known = row.metric === 'p50' ? readSpeedup(verdict) : null
  const change = known ?? ratioOf(kind, baseline, optimized)
  return { ...row, baseline, optimized, change, direction: judge(row.metric, change, verdict) }
}

function ratioOf(kind: MetricRow['kind'], baseline: number | null, optimized: number | null): Change | null {
  if (baseline === null || optimized === null) return null
  const value = kind === 'speedup' ? baseline / optimized : optimized / baseline
  return Number.isFinite(value) ? { kind, value, ci95: null } : null
}

/** Only what has an interval, or no noise at all, is called better or worse. */
function judge(metric: string, change: Change | null, verdict: JsonObject): Direction | null {
  if (metric === 'p50') return speedDirections[String(verdict['significance'])] ?? null
  if (metric !== 'size' || change === null || change.value === 1) return null
  return change.value < 1 ? 'better' : 'worse'
}

const speedDirections: Readonly<Record<string, Direction>> = { faster: 'better', same: 'same', slower: 'worse' }

/** The speed-up as the measurement estimated it, with its interval. */
export function readSpeedup(verdict: JsonObject): Change | null {
  const value = readNumber(verdict, ['speedup', 'p50'])
  return value === null ? null : { kind: 'speedup', value, ci95: readInterval(verdict, ['speedup', 'ci95']) }
}

function listQuality(verdict: JsonObject): EvidenceRow[] {
  const metrics = verdict['quality']
  if (!Array.isArray(metrics)) return []
  return (metrics as JsonObject[]).map((metric) => toQualityRow(metric))
}

function toQualityRow(quality: JsonObject): EvidenceRow {
  const metric = String(quality['metric'])
  const delta = readNumber(quality, ['delta'])
  const ci95 = readInterval(quality, ['ci95'])
  const change: Change | null = delta === null ? null : { kind: 'difference', value: delta, ci95 }
  return {
    metric,
    label: qualityLabels[metric] ?? metric,
    unit: fractions.has(metric) ? 'fraction' : 'plain',
    baseline: readNumber(quality, ['baseline']),
    optimized: readNumber(quality, ['optimized']),
    change,
    direction: delta === null || ci95 === null ? null : judgeInterval(ci95, losses.has(metric)),
  }
}

const qualityLabels: Readonly<Record<string, string>> = {
  top1: 'Top-1 accuracy',
  top5: 'Top-5 accuracy',
  f1: 'F1',
  mae: 'Mean absolute error',
  mse: 'Mean squared error',
  agreement: 'Agreement with the original',
  cosine: 'Cosine with the original',
  max_abs: 'Largest difference',
  sqnr: 'Signal to noise (dB)',
  kl: 'KL divergence',
}

function judgeInterval([low, high]: readonly [number, number], lessIsBetter: boolean): Direction {
  if (low <= 0 && high >= 0) return 'same'
  return low > 0 === lessIsBetter ? 'worse' : 'better'
}

/** A finite number somewhere in JSON of a row; null when it is not there. */
export function readNumber(value: unknown, path: readonly string[]): number | null {
  const found = path.reduce<unknown>((current, key) => readKey(current, key), value)
  return typeof found === 'number' && Number.isFinite(found) ? found : null
}

function readInterval(value: unknown, path: readonly string[]): readonly [number, number] | null {
  const found = path.reduce<unknown>((current, key) => readKey(current, key), value)
  const [low, high] = Array.isArray(found) ? (found as unknown[]) : []
  return typeof low === 'number' && typeof high === 'number' ? [low, high] : null
}

function readKey(value: unknown, key: string): unknown {
  return typeof value === 'object' && value !== null ? (value as JsonObject)[key] : undefined
}
