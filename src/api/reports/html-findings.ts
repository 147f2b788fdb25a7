import { forecastSentences, formatLoss, formatSpeedup, listCauses, runtimeSentences, trialMarks } from './findings.ts'
import { numericHead, table, th } from './html-table.ts'
import { html, nothing, type Html } from './html-text.ts'
import type { ReportView } from './view.ts'

/** Rows of one table on the page; the JSON report has them all. */
const maxRows = 500

/** Every model that was tried, the fastest first. */
export function renderTrials({ trials }: ReportView): Html {
  if (trials === null) return nothing
  const rows = trials.map(
    (trial) =>
      html`<tr>
        <td>${trial.name}</td>
        <td class="num">${formatSpeedup(trial)}</td>
        <td class="num">${formatLoss(trial.loss)}</td>
        <td>${trialMarks(trial)}</td>
        <td>${trial.detail}</td>
      </tr>`,
  )
  return table([th('model'), numericHead('speed-up (95 % CI)'), numericHead('loss'), th(''), th('measured')], rows)
}

/** What was expected of the recipe, beside what was measured. */
export function renderForecast({ forecast }: ReportView): Html {
  if (forecast === null || forecast === undefined) return nothing
  return html`<ul class="plain">
    ${forecastSentences(forecast).map((sentence) => html`<li>${sentence}</li>`)}
  </ul>`
}

/** Layers by what quantizing each costs. */
export function renderSensitivity({ sensitivity }: ReportView): Html {
  if (sensitivity === null || sensitivity === undefined) return nothing
  const { metric, budget, loss, settled_loss: settled, layers } = sensitivity
  const rows = layers.slice(0, maxRows).map(
    (layer) =>
      html`<tr>
        <td class="num">${layer.rank}</td>
        <td>${layer.op}</td>
        <td><code>${layer.node}</code></td>
        <td class="num">${formatLoss(layer.relief)}</td>
        <td class="num">${layer.saves_us === null ? '–' : layer.saves_us.toFixed(1)}</td>
        <td>${layer.kept}</td>
      </tr>`,
  )
  const head = [
    numericHead('rank'),
    th('op'),
    th('layer'),
    numericHead('loss it makes'),
    numericHead('µs saved'),
    th('kept in'),
  ]
  return html`<p>
      ${metric} ${formatLoss(loss)} with every layer in int8, ${formatLoss(settled)} as settled; ${formatLoss(budget)}
      was allowed.
    </p>
    ${table(head, rows)}${moreThan(layers.length)}`
}

/** What became of each node, and what the runtime makes of the result. */
export function renderExplanation({ explanation }: ReportView): Html {
  if (explanation === null || explanation === undefined) return nothing
  const { nodes, runtime } = explanation
  const sentences = runtimeSentences(explanation).map((sentence) => html`<li>${sentence}</li>`)
  const causes = listCauses(explanation).map((sentence) => html`<li>${sentence}</li>`)
  return html`<ul class="plain">
      ${sentences}${causes}
    </ul>
    ${fold(`nodes: ${nodes.length}`, nodeTable(explanation))}
    ${runtime === null ? nothing : fold(`conversions left: ${runtime.conversions.length}`, conversionTable(runtime))}`
}

type Explanation = NonNullable<ReportView['explanation']>

function nodeTable({ nodes }: Explanation): Html {
  const rows = nodes.slice(0, maxRows).map(
    ({ op, node, outcome, cause, form, reason }) =>
      html`<tr>
        <td>${op}</td>
        <td><code>${node}</code></td>
        <td>${outcome === 'left' ? (cause ?? 'left') : (form?.kind ?? 'changed')}</td>
        <td>${form === null ? '' : [form.activations, form.weights].filter((type) => type !== null).join(' × ')}</td>
        <td>${reason}</td>
      </tr>`,
  )
  const head = [th('op'), th('node'), th('how, or why not'), th('types'), th('reason')]
  return html`${table(head, rows)}${moreThan(nodes.length)}`
}

function conversionTable({ conversions }: NonNullable<Explanation['runtime']>): Html {
  const rows = conversions.slice(0, maxRows).map(
    ({ op, from, to }) =>
      html`<tr>
        <td>${op}</td>
        <td><code>${from}</code></td>
        <td><code>${to.join(', ')}</code></td>
      </tr>`,
  )
  return html`${table([th('op'), th('after'), th('before')], rows)}${moreThan(conversions.length)}`
}

function fold(title: string, content: Html): Html {
  if (content.markup === '') return nothing
  return html`<details>
    <summary>${title}</summary>
    ${content}
  </details>`
}

function moreThan(count: number): Html {
  return count > maxRows ? html`<p>${count - maxRows} more in the JSON report.</p>` : nothing
}
