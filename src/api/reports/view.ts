import { stringify } from 'yaml'
import type { HostRow, JobDetail, JobStageRow, JsonObject, ModelRow } from '../../storage/index.ts'
import { orderRecipe } from '../recipes.ts'
import { formatTime, formatTimeOrNull } from '../schemas/common.ts'
import type { JobFindings } from './artifacts.ts'
import { findMeasured, listEvidence, readNumber, readSpeedup, type EvidenceRow } from './evidence.ts'

type Tone = 'good' | 'neutral' | 'bad'

interface ReportNote {
  readonly node: string
  readonly op: string
  readonly action: string
  readonly reason: string
}

export interface ReportStage {
  readonly name: string
  readonly attempt: number
  readonly state: string
  readonly duration_ms: number | null
  readonly notes: readonly ReportNote[]
}

interface ReportGate {
  readonly expr: string
  readonly passed: boolean | null
  readonly detail: string
}

/** Curves of the latency chart: the 0th to 100th percentile, milliseconds. */
export interface LatencyCurves {
  readonly baseline: readonly number[]
  readonly optimized: readonly number[]
}

/** Everything a report says, as numbers and plain text; the three formats only lay it out. */
export interface ReportView {
  readonly object: 'report'
  readonly job: string
  readonly state: string
  readonly model: { readonly id: string; readonly name: string }
  readonly result: string | null
  readonly recipe: { readonly name: string; readonly version: number | null; readonly text: string }
  readonly verdict: { readonly tone: Tone; readonly headline: string; readonly passed: boolean | null }
  readonly evidence: readonly EvidenceRow[]
  /** What quality was judged on, in a sentence; empty when it was not. */
  readonly quality_basis: string
  /** How the models were timed. */
  readonly method: JsonObject | null
  readonly noise: { readonly low: number; readonly high: number } | null
  readonly latency: LatencyCurves | null
  readonly gates: readonly ReportGate[]
  readonly warnings: readonly { readonly code: string; readonly detail: string; readonly hint: string }[]
  readonly error: { readonly code: string; readonly detail: string; readonly hint: string } | null
  readonly placement: { readonly requested: JsonObject; readonly actual: JsonObject | null }
  /** The inventory of the host it ran on; null when the host is forgotten. */
  readonly environment: JsonObject | null
  readonly stages: readonly ReportStage[]
  readonly candidates: readonly { readonly name: string; readonly role: string; readonly p50_ms: number | null }[]
  /** Every model that was tried, with speed and loss; null where the job kept none. */
  readonly trials: NonNullable<JobFindings['trials']>['trials'] | null
  /** Every training step with its curve; null where nothing was trained. */
  readonly training: NonNullable<JobFindings['training']>['steps'] | null
  /** What was expected of the recipe before it ran, beside what was measured; null where nobody could tell. */
  readonly forecast: JobFindings['forecast'] | null
  /** Layers ranked by what quantizing each costs; null where nothing was searched. */
  readonly sensitivity: JobFindings['sensitivity'] | null
  /** What became of each node, and what the runtime makes of the result. */
  readonly explanation: JobFindings['explanation'] | null
  readonly metadata: JsonObject
  readonly created_at: string
  readonly started_at: string | null
  readonly finished_at: string | null
}

/** What the job row does not hold itself. */
export interface ReportContext {
  readonly model?: Pick<ModelRow, 'name'> | undefined
  readonly host?: Pick<HostRow, 'inventory'> | undefined
  readonly findings?: JobFindings | undefined
}

export function buildReport(job: JobDetail, { model, host, findings = {} }: ReportContext = {}): ReportView {
  const recipe = job.recipe as { name?: string; version?: number | null; body?: JsonObject }
  return {
    object: 'report',
    job: job.id,
    state: job.state,
    model: { id: job.modelId, name: model?.name ?? job.modelId },
    result: job.resultModelId,
    recipe: {
      name: recipe.name ?? 'inline',
      version: recipe.version ?? null,
      text: stringify(orderRecipe(recipe.body ?? job.recipe)),
    },
    verdict: judgeJob(job),
    evidence: listEvidence(job),
    quality_basis: describeBasis(job.verdict),
    method: (job.verdict?.['method'] as JsonObject | undefined) ?? null,
    noise: readNoise(job.verdict),
    latency: readCurves(job),
    gates: listGates(job),
    warnings: job.warnings.map(({ code, detail = '', hint = '' }) => ({ code, detail, hint })),
    error: job.error === null ? null : { code: job.error.code, detail: job.error.detail, hint: job.error.hint },
    placement: { requested: job.target, actual: job.placement },
    environment: host?.inventory ?? null,
    stages: job.stages.map((stage) => toStage(stage)),
    candidates: job.candidates.map(({ name, role, measurement }) => ({
      name,
      role,
      p50_ms: readNumber(measurement, ['latency', 'p50_ms']),
    })),
    trials: findings.trials?.trials ?? null,
    training: findings.training?.steps ?? null,
    forecast: findings.forecast ?? null,
    sensitivity: findings.sensitivity ?? null,
    explanation: findings.explanation ?? null,
    metadata: job.metadata,
    created_at: formatTime(job.createdAt),
    started_at: formatTimeOrNull(job.startedAt),
    finished_at: formatTimeOrNull(job.finishedAt),
  }
}

/** The one sentence a reader takes away; never more than the interval allows. */
function judgeJob({ state, verdict, error }: JobDetail): ReportView['verdict'] {
  if (state !== 'succeeded' || verdict === null) {
    const why = error === null ? '' : `: ${error.detail}`
    return {
      tone: state === 'failed' ? 'bad' : 'neutral',
      headline: `The job ${stateTexts[state] ?? state}${why}`,
      passed: null,
    }
  }
  const passed = verdict['passed'] === true
  const { reason } = verdict
  const headline = typeof reason === 'string' ? reason : describeSpeed(verdict)
  if (!passed) return { tone: failsGate(verdict) ? 'bad' : 'neutral', headline, passed }
  return { tone: verdict['significance'] === 'faster' ? 'good' : 'neutral', headline, passed }
}

function failsGate({ gates }: JsonObject): boolean {
  return Array.isArray(gates) && (gates as JsonObject[]).some(({ passed }) => passed !== true)
}

const stateTexts: Readonly<Record<string, string>> = {
  failed: 'failed',
  canceled: 'was canceled',
  expired: 'expired before it started',
  succeeded: 'ended without a verdict',
}

function describeSpeed(verdict: JsonObject): string {
  const speedup = readSpeedup(verdict)
  if (speedup === null) return 'Speed was not measured.'
  const times = verdict['significance'] === 'slower' ? 1 / speedup.value : speedup.value
  const texts: Readonly<Record<string, string>> = {
    faster: `${times.toFixed(2)} times as fast as the original on this host.`,
    slower: `${times.toFixed(2)} times slower than the original on this host.`,
    same: 'Not measurably faster than the original on this host.',
  }
  return texts[String(verdict['significance'])] ?? 'Speed was not judged.'
}

/** Quality on made-up inputs says little, and whoever reads the numbers must know. */
function describeBasis(verdict: JsonObject | null): string {
  const basis = verdict?.['quality_basis'] as { task?: string; samples?: number; generated?: boolean } | undefined
  if (basis === undefined) return ''
  const { task = 'agreement', samples = 0, generated = false } = basis
  const against = task === 'agreement' ? 'the outputs of the original' : `labels (${task})`
  if (!generated) return `Quality against ${against} on ${samples} samples.`
  return `Quality against ${against} on ${samples} generated inputs: says little; give the job an eval dataset.`
}

function readNoise(verdict: JsonObject | null): ReportView['noise'] {
  const noise = verdict?.['noise'] as { ci95?: readonly unknown[] } | undefined
  const [low, high] = noise?.ci95 ?? []
  return typeof low === 'number' && typeof high === 'number' ? { low, high } : null
}

function readCurves(job: JobDetail): LatencyCurves | null {
  const { baseline, optimized } = findMeasured(job)
  const curves = [baseline, optimized].map((row) => readPercentiles(row?.measurement))
  const [first, second] = curves
  return first === undefined || second === undefined ? null : { baseline: first, optimized: second }
}

function readPercentiles(measurement: JsonObject | undefined): number[] | undefined {
  const latency = measurement?.['latency'] as { percentiles_ms?: unknown } | undefined
  const values = latency?.percentiles_ms
  if (!Array.isArray(values) || values.length < 2) return undefined
  return values.every((value) => typeof value === 'number' && value > 0) ? (values as number[]) : undefined
}

/** Gates as they were judged; those of a job that never got there are listed unjudged. */
function listGates({ gates, verdict }: JobDetail): ReportGate[] {
  const judged = verdict?.['gates']
  if (!Array.isArray(judged)) return gates.map((expr) => ({ expr, passed: null, detail: 'not judged' }))
  return (judged as JsonObject[]).map(({ expr, passed, detail, value }) => ({
    expr: String(expr),
    passed: passed === true,
    detail: typeof detail === 'string' ? detail : `value ${String(value)}`,
  }))
}

function toStage({ name, attempt, state, startedAt, endedAt, notes }: JobStageRow): ReportStage {
  const duration = startedAt === null || endedAt === null ? null : endedAt.getTime() - startedAt.getTime()
  return { name, attempt, state, duration_ms: duration, notes: notes.map((note) => toNote(note)) }
}

function toNote({ node, op, action, reason }: JsonObject): ReportNote {
  return { node: textOf(node), op: textOf(op), action: textOf(action), reason: textOf(reason) }
}

function textOf(value: unknown): string {
  if (value === undefined || value === null) return ''
  return typeof value === 'string' ? value : JSON.stringify(value)
}
