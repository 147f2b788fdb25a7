import type { TrainedStep } from '../../engine/schemas.ts'
import { forecastSentences, formatLoss, formatSpeedup, listCauses, runtimeSentences, trialMarks } from './findings.ts'
import { table, text } from './markdown-text.ts'
import { epochTable, nameStep, trainingSentences } from './training-text.ts'
import type { ReportView } from './view.ts'

/** Rows of one table in a summary; the JSON report has them all. */
const maxRows = 50

export function trialTable({ trials }: ReportView): string[] {
  return table(
    ['model', 'speed-up (95 % CI)', 'loss', '', 'measured'],
    (trials ?? []).map((trial) => [
      text(trial.name),
      formatSpeedup(trial),
      formatLoss(trial.loss),
      trialMarks(trial),
      text(trial.detail),
    ]),
  )
}

/** Each training step: what it did, then its epochs. */
export function trainingParts({ training }: ReportView): string[] {
  const steps = training ?? []
  return steps
    .flatMap((step, index) => [[''], trainingList(step, nameStep(steps, index)), [''], epochRows(step)].flat())
    .slice(1)
}

function trainingList(step: TrainedStep, name: string): string[] {
  const [outcome = '', ...rest] = trainingSentences(step)
  return [`${name}: ${outcome}`, ...rest].map((sentence) => `- ${text(sentence)}`)
}

function epochRows(step: TrainedStep): string[] {
  const { head, rows, more } = epochTable(step, maxRows)
  const lines = table(head, rows)
  return more === 0 ? lines : [...lines, '', `${more} more in the JSON report.`]
}

export function forecastList({ forecast }: ReportView): string[] {
  if (forecast === null || forecast === undefined) return []
  return forecastSentences(forecast).map((sentence) => `- ${text(sentence)}`)
}

export function sensitivityTable({ sensitivity }: ReportView): string[] {
  if (sensitivity === null || sensitivity === undefined) return []
  const { metric, budget, loss, settled_loss: settled, layers } = sensitivity
  const rows = layers
    .slice(0, maxRows)
    .map(({ rank, op, node, relief, kept }) => [String(rank), text(op), text(node), formatLoss(relief), kept])
  const more = layers.length > maxRows ? ['', `${layers.length - maxRows} more in the JSON report.`] : []
  return [
    `${text(metric)} ${formatLoss(loss)} with every layer in int8, ${formatLoss(settled)} as settled; ${formatLoss(budget)} was allowed.`,
    '',
    ...table(['rank', 'op', 'layer', 'loss it makes', 'kept in'], rows),
    ...more,
  ]
}

export function explanationList({ explanation }: ReportView): string[] {
  if (explanation === null || explanation === undefined) return []
  return [...runtimeSentences(explanation), ...listCauses(explanation)].map((sentence) => `- ${text(sentence)}`)
}
