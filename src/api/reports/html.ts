import { drawLatency, drawSpeedup } from './charts.ts'
import { flattenFacts, formatChange, formatDuration, formatValue } from './format.ts'
import { renderExplanation, renderForecast, renderSensitivity, renderTrials } from './html-findings.ts'
import { numericHead, table, th } from './html-table.ts'
import { renderTraining } from './html-training.ts'
import { Html, html, nothing } from './html-text.ts'
import { reportStyle } from './style.ts'
import type { ReportStage, ReportView } from './view.ts'

/** Notes of one stage on the page; the JSON report has them all. */
const maxNotes = 500

/** The report as one page: no script, no font, no picture from elsewhere. */
export function renderHtml(view: ReportView): string {
  const title = `${view.model.name} · ${view.recipe.name}`
  const page = html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="robots" content="noindex" />
        <title>${title}</title>
        <style>
          ${new Html(reportStyle)}
        </style>
      </head>
      <body>
        <main>
          <h1>${title}</h1>
          <p class="sub">
            Job <code>${view.job}</code> · model <code>${view.model.id}</code> · finished ${view.finished_at ?? 'never'}
          </p>
          <p class="headline ${view.verdict.tone}">${view.verdict.headline}</p>
          ${renderError(view)} ${section('Evidence', renderEvidence(view))} ${renderBasis(view)}
          ${section('Speed-up', drawSpeedup(view.evidence.find(({ metric }) => metric === 'p50')?.change ?? null, view.noise))}
          ${section('Latency', drawLatency(view.latency))} ${section('Gates', renderGates(view))}
          ${section('Warnings', renderWarnings(view))} ${section('Trials', renderTrials(view))}
          ${section('Training', renderTraining(view))} ${section('Forecast', renderForecast(view))}
          ${section('Sensitivity', renderSensitivity(view))} ${section('Explanation', renderExplanation(view))}
          ${section('Placement', renderFacts(view.placement))} ${section('Environment', renderFacts(view.environment))}
          ${section('Method', renderFacts(view.method))} ${section('Stages', renderStages(view))}
          ${section('Notes by node', renderNotes(view))}
          ${section('Recipe', html`<pre><code>${view.recipe.text}</code></pre>`)}
        </main>
      </body>
    </html> `
  return page.markup
}

function section(title: string, content: Html): Html {
  return content.markup === ''
    ? nothing
    : html`<section>
        <h2>${title}</h2>
        ${content}
      </section>`
}

function renderEvidence({ evidence }: ReportView): Html {
  return table(
    [th(''), numericHead('baseline'), numericHead('optimized'), numericHead('change (95 % CI)')],
    evidence.map(
      (row) =>
        html`<tr>
          <td>${row.label}</td>
          <td class="num">${formatValue(row.baseline, row.unit)}</td>
          <td class="num">${formatValue(row.optimized, row.unit)}</td>
          <td class="num ${row.direction ?? ''}">${formatChange(row)}</td>
        </tr>`,
    ),
  )
}

function renderBasis({ quality_basis: basis }: ReportView): Html {
  return basis === '' ? nothing : html`<p class="sub">${basis}</p>`
}

function renderGates({ gates }: ReportView): Html {
  return table(
    [th(''), th('gate'), th('because')],
    gates.map(
      ({ expr, passed, detail }) =>
        html`<tr>
          <td>${verdictMark(passed)}</td>
          <td><code>${expr}</code></td>
          <td>${detail}</td>
        </tr>`,
    ),
  )
}

function verdictMark(passed: boolean | null): Html {
  if (passed === null) return html`–`
  return passed ? html`<span class="pass">passed</span>` : html`<span class="fail">failed</span>`
}

function renderError({ error }: ReportView): Html {
  return error === null ? nothing : html`<p><code>${error.code}</code> ${error.detail}<br />${error.hint}</p>`
}

function renderWarnings({ warnings }: ReportView): Html {
  if (warnings.length === 0) return nothing
  const items = warnings.map(({ code, detail, hint }) => html`<li><code>${code}</code> ${detail} ${hint}</li>`)
  return html`<ul class="plain">
    ${items}
  </ul>`
}

function renderFacts(facts: object | null): Html {
  if (facts === null) return nothing
  const rows = flattenFacts(facts).map(
    ([name, value]) =>
      html`<tr>
        <td>${name}</td>
        <td>${value}</td>
      </tr>`,
  )
  return table([th('what'), th('value')], rows)
}

function renderStages({ stages }: ReportView): Html {
  return table(
    [th('stage'), numericHead('attempt'), th('state'), numericHead('time')],
    stages.map(
      ({ name, attempt, state, duration_ms: duration }) =>
        html`<tr>
          <td>${name}</td>
          <td class="num">${attempt}</td>
          <td>${state}</td>
          <td class="num">${formatDuration(duration)}</td>
        </tr>`,
    ),
  )
}

function renderNotes({ stages }: ReportView): Html {
  const noted = stages.filter(({ notes }) => notes.length > 0)
  return noted.length === 0 ? nothing : html`${noted.map((stage) => renderStageNotes(stage))}`
}

function renderStageNotes({ name, notes }: ReportStage): Html {
  const rows = notes.slice(0, maxNotes).map(
    ({ node, op, action, reason }) =>
      html`<tr>
        <td>${op}</td>
        <td><code>${node}</code></td>
        <td>${action}</td>
        <td>${reason}</td>
      </tr>`,
  )
  const more = notes.length > maxNotes ? html`<p>${notes.length - maxNotes} more in the JSON report.</p>` : nothing
  const head = [th('op'), th('node'), th('action'), th('reason')]
  return html`<details>
    <summary>${name}: ${notes.length}</summary>
    ${table(head, rows)}${more}
  </details>`
}
