import { Counter, Gauge } from '@prometheus-io/client'
import type { Registry } from '../../telemetry.ts'
import { driftOf, type ShadowFigures } from '../../storage/index.ts'
import type { Comparison } from './compare.ts'
import { createDriftWindow, type DriftWindow } from './drift.ts'

/** What this process has seen of one shadow beside one version. */
export interface ShadowTotals {
  readonly deployment: string
  readonly model: string
  readonly version: number
  compared(comparison: Comparison, times: { readonly primaryMs: number; readonly candidateMs: number }): void
  failed(error: unknown): void
  dropped(): void
  figures(): ShadowFigures
}

interface ShadowOf {
  readonly deployment: string
  readonly model: string
  /** The candidate. */
  readonly version: number
  /** What it is compared with. */
  readonly primary: number
}

export function createShadowTotals({ deployment, model, version, primary }: ShadowOf): ShadowTotals {
  const counts = { compared: 0, agreed: 0, failed: 0, dropped: 0, mismatched: 0, rows: 0, flips: 0 }
  const sums = { cosines: 0, cosine: 0, primary_ms: 0, candidate_ms: 0 }
  let [maxAbs, minCosine] = [0, 1]
  let mismatch: string | null = null
  let error: string | null = null
  const drift: Record<'primary' | 'candidate', DriftWindow> = {
    primary: createDriftWindow(),
    candidate: createDriftWindow(),
  }
  return {
    deployment,
    model,
    version,
    compared({ agrees, rows, flips, maxAbs: off, cosine, means, mismatch: differing }, { primaryMs, candidateMs }) {
      counts.compared++
      counts.agreed += Number(agrees)
      counts.rows += rows
      counts.flips += flips
      counts.mismatched += Number(differing !== undefined)
      mismatch = differing ?? mismatch
      maxAbs = Math.max(maxAbs, off)
      sums.primary_ms += primaryMs
      sums.candidate_ms += candidateMs
      if (cosine !== undefined) {
        sums.cosines++
        sums.cosine += cosine
        minCosine = Math.min(minCosine, cosine)
      }
      if (means.expected !== undefined) drift.primary.add(means.expected)
      if (means.actual !== undefined) drift.candidate.add(means.actual)
    },
    failed(cause) {
      counts.failed++
      error = cause instanceof Error ? cause.message : String(cause)
    },
    dropped: () => void counts.dropped++,
    figures: () => ({
      primary,
      ...counts,
      ...sums,
      max_abs: maxAbs,
      min_cosine: minCosine,
      last_mismatch: mismatch,
      last_error: error,
      drift: { primary: drift.primary.figures(), candidate: drift.candidate.figures() },
    }),
  }
}

const counted = { compared: 'compared', agreed: 'agreed', failed: 'failed', dropped: 'dropped' } as const

/** Registers what Prometheus may know of shadows; computed when scraped. */
export function registerShadowMetrics(metrics: Registry, all: () => Iterable<ShadowTotals>): void {
  const labelNames = ['model', 'version'] as const
  const registers = [metrics]
  const requests = new Counter({
    name: 'hasten_shadow_requests_total',
    help: 'Copies of requests for shadows: compared, agreed (of these), failed, dropped',
    labelNames: [...labelNames, 'outcome'],
    registers,
    collect() {
      requests.reset()
      for (const totals of all()) {
        const figures = totals.figures()
        for (const [outcome, key] of Object.entries(counted)) {
          requests.inc({ ...labelsOf(totals), outcome }, figures[key])
        }
      }
    },
  })
  const gauges: Readonly<Record<string, { help: string; read: (figures: ShadowFigures) => number | undefined }>> = {
    hasten_shadow_agreement: {
      help: 'Share of compared answers that agree',
      read: (each) => ratio(each.agreed, each.compared),
    },
    hasten_shadow_top1_flips: { help: 'Rows of another best class', read: ({ flips }) => flips },
    hasten_shadow_max_abs: { help: 'Largest difference of two numbers', read: ({ max_abs }) => max_abs },
    hasten_shadow_cosine: { help: 'Mean cosine of answers', read: (each) => ratio(each.cosine, each.cosines) },
  }
  for (const [name, { help, read }] of Object.entries(gauges)) {
    const gauge = new Gauge({
      name,
      help,
      labelNames,
      registers,
      collect() {
        gauge.reset()
        for (const totals of all()) {
          const value = read(totals.figures())
          if (value !== undefined) gauge.set(labelsOf(totals), value)
        }
      },
    })
  }
  registerDrift(registers, all)
}

function registerDrift(registers: Registry[], all: () => Iterable<ShadowTotals>): void {
  const gauge = new Gauge({
    name: 'hasten_shadow_drift',
    help: 'Mean of the latest outputs less that of the first, in standard deviations of the first',
    labelNames: ['model', 'version', 'of'],
    registers,
    collect() {
      gauge.reset()
      for (const totals of all()) {
        for (const [of, windows] of Object.entries(totals.figures().drift)) {
          const value = driftOf(windows)
          if (value !== undefined) gauge.set({ ...labelsOf(totals), of }, value)
        }
      }
    },
  })
}

function labelsOf({ model, version }: ShadowTotals): { model: string; version: string } {
  return { model, version: String(version) }
}

function ratio(part: number, whole: number): number | undefined {
  return whole === 0 ? undefined : part / whole
}
