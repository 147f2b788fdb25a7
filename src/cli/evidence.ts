import { formatTable } from './table.ts'

/** The parts of the job resource that the evidence table shows. */
export interface JobView {
  readonly id: string
  readonly state: string
  readonly verdict: VerdictView | null
  readonly candidates: readonly {
    readonly name: string
    readonly role: string
    readonly measurement: MeasurementView
  }[]
  readonly warnings: readonly { readonly code: string; readonly detail?: string; readonly hint?: string }[]
  readonly error: { readonly code: string; readonly detail: string; readonly hint?: string } | null
  readonly result: { readonly model: string } | null
}

interface VerdictView {
  readonly passed: boolean
  readonly reason: string
  readonly candidate: string
  readonly significance: string
  readonly speedup: { readonly p50: number; readonly ci95: readonly [number, number] }
  readonly size_ratio: number
  readonly quality: readonly QualityView[]
  readonly gates: readonly { readonly expr: string; readonly passed: boolean; readonly detail?: string }[]
}

interface QualityView {
  readonly metric: string
  readonly baseline: number | null
  readonly optimized: number
  readonly delta: number | null
  readonly ci95: readonly [number, number] | null
}

interface MeasurementView {
  readonly latency: {
    readonly p50_ms: number
    readonly p90_ms: number
    readonly p95_ms: number
    readonly p99_ms: number
  }
  readonly throughput: number
  readonly frames_per_second: number
  readonly peak_memory_bytes: number
  readonly cold_start_ms: number
  readonly size_bytes: number
}

type Row = readonly [name: string, read: (model: MeasurementView) => number, unit: (value: number) => string]

const milliseconds = (value: number) => `${round(value)} ms`
const megabytes = (value: number) => `${round(value / 1e6)} MB`
const rate = (value: number) => `${round(value)} /s`

const rows: readonly Row[] = [
  ['p50', (model) => model.latency.p50_ms, milliseconds],
  ['p90', (model) => model.latency.p90_ms, milliseconds],
  ['p95', (model) => model.latency.p95_ms, milliseconds],
  ['p99', (model) => model.latency.p99_ms, milliseconds],
  ['throughput', (model) => model.throughput, rate],
  ['frames', (model) => model.frames_per_second, rate],
  ['peak memory', (model) => model.peak_memory_bytes, megabytes],
  ['cold start', (model) => model.cold_start_ms, milliseconds],
  ['size', (model) => model.size_bytes, megabytes],
]

/** What was measured, side by side, with the verdict and every gate under it. */
export function formatEvidence(job: JobView): string {
  const { verdict } = job
  if (verdict === null) return formatFailure(job)
  const baseline = job.candidates.find(({ role }) => role === 'baseline')?.measurement
  const chosen = job.candidates.find(({ name, role }) => role !== 'baseline' && name === verdict.candidate)?.measurement
  const table = formatTable(
    ['', 'baseline', 'optimized', 'change (95 % CI)'],
    [
      ...(baseline === undefined || chosen === undefined
        ? []
        : rows.map((row) => measuredRow(row, baseline, chosen, verdict))),
      ...verdict.quality.map(qualityRow),
    ],
  )
  const gates = verdict.gates.map(
    ({ expr, passed, detail }) =>
      `  ${passed ? 'pass' : 'FAIL'}  ${expr}${detail === undefined ? '' : `   (${detail})`}`,
  )
  const warnings = job.warnings.map(
    ({ code, detail, hint }) => `  note  ${code}: ${[detail, hint].filter(Boolean).join(' ')}`,
  )
  return [table, '', headline(verdict), `  ${verdict.reason}`, ...gates, ...warnings].join('\n')
}

function headline({ passed, significance, gates, speedup }: VerdictView): string {
  const met = gates.filter((gate) => gate.passed).length
  const [low, high] = speedup.ci95
  const claim = `${significance} here: ${round(speedup.p50)}x, 95 % CI ${round(low)} to ${round(high)}`
  const word = passed ? 'PASS' : met < gates.length ? 'FAIL' : 'KEEP'
  return `${word}  ${met}/${gates.length} gates · ${claim}`
}

function measuredRow(
  [name, read, unit]: Row,
  baseline: MeasurementView,
  chosen: MeasurementView,
  verdict: VerdictView,
): string[] {
  const [before, after] = [read(baseline), read(chosen)]
  const change =
    name === 'p50'
      ? `${round(verdict.speedup.p50)}x [${verdict.speedup.ci95.map(round).join(', ')}]`
      : percent(after / before)
  return [name, unit(before), unit(after), change]
}

function qualityRow({ metric, baseline, optimized, delta, ci95 }: QualityView): string[] {
  const interval = ci95 === null ? '' : ` [${ci95.map(round).join(', ')}]`
  return [
    metric,
    baseline === null ? '' : round(baseline),
    round(optimized),
    delta === null ? interval.trim() : `${signed(delta)}${interval}`,
  ]
}

function formatFailure({ id, state, error }: JobView): string {
  if (error === null) return `${id} ${state}`
  return [
    `${id} ${state}: ${error.detail} [${error.code}]`,
    ...(error.hint === undefined ? [] : [`  ${error.hint}`]),
  ].join('\n')
}

function round(value: number): string {
  return String(Number(value.toPrecision(3)))
}

function signed(value: number): string {
  return value > 0 ? `+${round(value)}` : round(value)
}

function percent(ratio: number): string {
  return Number.isFinite(ratio) ? `${Math.round(ratio * 100)} %` : ''
}
