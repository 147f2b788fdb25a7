import {
  finiteOrNull,
  findFront,
  lossOf,
  type PassFindings,
  type StepForecast,
  type TrialsReport,
} from '../../engine/index.ts'
import { sizeRatio, type Choice, type Trial } from './choose.ts'

/** What was expected of the recipe beside what was measured of its own result. */
export function compareForecast(
  steps: readonly StepForecast[],
  { evidence: { speedup } }: Trial,
): { steps: StepForecast[]; measured: { speedup: number; ci95: [number, number] } } {
  return { steps: [...steps], measured: { speedup: speedup.p50, ci95: [speedup.ci95[0], speedup.ci95[1]] } }
}

type Row = TrialsReport['trials'][number]
type NewRow = Omit<Row, 'pareto'>

/** Every model of a job with its speed and its loss, the original among them: what was measured, then what a search saw. */
export function listTrials(trials: readonly Trial[], choice: Choice, search: PassFindings['search']): TrialsReport {
  const rows = [
    originalRow(choice),
    ...trials.map((trial, index) => jobRow(trial, choice, choice.passed[index] ?? false)),
    ...(search?.trials ?? []).map((trial) => searchRow(trial)),
  ]
  const front = findFront(rows.map(({ speedup, loss }) => ({ speedup: speedup ?? undefined, loss: loss ?? undefined })))
  const marked = rows.map((row, index): Row => Object.assign({ pareto: front[index] ?? false }, row))
  return { trials: marked.toSorted((a, b) => (b.speedup ?? 0) - (a.speedup ?? 0)) }
}

function originalRow({ won, originalPasses, subject }: Choice): NewRow {
  const { ci95 } = subject.evidence.noise
  return {
    name: 'original',
    measured_by: 'job',
    speedup: 1,
    ci95: [ci95[0], ci95[1]],
    loss: 0,
    size_ratio: 1,
    passes: originalPasses,
    chosen: !won,
    detail: 'the interval is that of a second copy of itself',
  }
}

function jobRow(trial: Trial, { subject, won }: Choice, passes: boolean): NewRow {
  const { name, evidence, quality } = trial
  const { p50, ci95 } = evidence.speedup
  const on = quality.generated ? 'made-up inputs' : 'samples'
  return {
    name,
    measured_by: 'job',
    speedup: p50,
    ci95: [ci95[0], ci95[1]],
    loss: finiteOrNull(lossOf(quality.report)),
    size_ratio: sizeRatio(evidence),
    passes,
    chosen: won && trial === subject,
    detail: `${evidence.significance} than the original, judged on ${quality.report.samples} ${on}`,
  }
}

function searchRow({ name, speedup, ci95, loss, within_budget: passes, detail }: SearchTrial): NewRow {
  const interval: Row['ci95'] = ci95 === null ? null : [ci95[0], ci95[1]]
  return { name, measured_by: 'search', speedup, ci95: interval, loss, size_ratio: null, passes, chosen: false, detail }
}

type SearchTrial = NonNullable<PassFindings['search']>['trials'][number]
