import type { TrainedStep } from '../../engine/schemas.ts'
import { numericHead, table, th } from './html-table.ts'
import { html, nothing, type Html } from './html-text.ts'
import { drawTraining } from './training-chart.ts'
import { epochTable, nameStep, trainingSentences } from './training-text.ts'
import type { ReportView } from './view.ts'

/** Rows of one table on the page; the JSON report has them all. */
const maxRows = 500

/** How each training of the recipe went. */
export function renderTraining({ training }: ReportView): Html {
  return training === null
    ? nothing
    : html`${training.map((step, index) => renderStep(step, nameStep(training, index)))}`
}

function renderStep(step: TrainedStep, name: string): Html {
  const [outcome = '', ...rest] = trainingSentences(step)
  return html`<p><strong>${name}</strong>: ${outcome}</p>
    ${drawTraining(step)} ${renderEpochs(step)}
    <ul class="plain">
      ${rest.map((sentence) => html`<li>${sentence}</li>`)}
    </ul>`
}

function renderEpochs(step: TrainedStep): Html {
  const { head, rows, more } = epochTable(step, maxRows)
  const last = head.length - 1
  const cell = (text: string, column: number) =>
    column === last ? html`<td>${text}</td>` : html`<td class="num">${text}</td>`
  const rendered = rows.map(
    (cells) =>
      html`<tr>
        ${cells.map((text, column) => cell(text, column))}
      </tr>`,
  )
  const heads = head.map((text, column) => (column === last ? th(text) : numericHead(text)))
  return html`${table(heads, rendered)}${more > 0 ? html`<p>${more} more in the JSON report.</p>` : nothing}`
}
