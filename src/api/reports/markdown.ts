import { flattenFacts, formatChange, formatDuration, formatValue } from './format.ts'
import { explanationList, forecastList, sensitivityTable, trainingParts, trialTable } from './markdown-findings.ts'
import { table, text } from './markdown-text.ts'
import type { ReportView } from './view.ts'

/** Notes of one stage in a summary; the JSON report has them all. */
const maxNotes = 100

/** The report as GitHub-flavoured Markdown, for pull requests and CI summaries. */
export function renderMarkdown(view: ReportView): string {
  const sections = [
    `# ${text(view.model.name)} · ${text(view.recipe.name)}`,
    `**${text(view.verdict.headline)}**`,
    ...errorSection(view),
    section('Evidence', evidenceTable(view)),
    text(view.quality_basis),
    section('Gates', gateTable(view)),
    section(
      'Warnings',
      view.warnings.map(({ code, detail, hint }) => `- ${text(code)}: ${text(`${detail} ${hint}`)}`),
    ),
    section('Trials', trialTable(view)),
    section('Training', trainingParts(view)),
    section('Forecast', forecastList(view)),
    section('Sensitivity', sensitivityTable(view)),
    section('Explanation', explanationList(view)),
    section('Placement', factTable(view.placement)),
    section('Environment', factTable(view.environment)),
    section('Method', factTable(view.method)),
    section('Stages', stageTable(view)),
    section('Notes', noteList(view)),
    section('Recipe', ['```yaml', view.recipe.text.trimEnd().replaceAll('```', "'''"), '```']),
    `Job \`${view.job}\`, model \`${view.model.id}\`, finished ${view.finished_at ?? 'never'}.`,
  ]
  return `${sections.filter((part) => part !== '').join('\n\n')}\n`
}

function errorSection({ error }: ReportView): string[] {
  return error === null ? [] : [`${text(error.code)}: ${text(error.detail)}  \n${text(error.hint)}`]
}

function section(title: string, lines: readonly string[]): string {
  return lines.length === 0 ? '' : `## ${title}\n\n${lines.join('\n')}`
}

function evidenceTable({ evidence }: ReportView): string[] {
  return table(
    ['', 'baseline', 'optimized', 'change (95 % CI)'],
    evidence.map((row) => [
      row.label,
      formatValue(row.baseline, row.unit),
      formatValue(row.optimized, row.unit),
      formatChange(row),
    ]),
  )
}

const marks = new Map<boolean | null, string>([
  [true, '✅'],
  [false, '❌'],
  [null, '–'],
])

function gateTable({ gates }: ReportView): string[] {
  return table(
    ['', 'gate', 'because'],
    gates.map(({ expr, passed, detail }) => [marks.get(passed) ?? '', text(expr), text(detail)]),
  )
}

function factTable(facts: object | null): string[] {
  if (facts === null) return []
  return table(
    ['', ''],
    flattenFacts(facts).map(([name, value]) => [text(name), text(value)]),
  )
}

function stageTable({ stages }: ReportView): string[] {
  return table(
    ['stage', 'attempt', 'state', 'time'],
    stages.map(({ name, attempt, state, duration_ms: duration }) => [
      text(name),
      String(attempt),
      text(state),
      formatDuration(duration),
    ]),
  )
}

function noteList({ stages }: ReportView): string[] {
  return stages.flatMap(({ name, notes }) => {
    const shown = notes.slice(0, maxNotes).map((note) => {
      const subject = [note.op, note.node].filter((part) => part !== '').join(' ')
      return `- ${text(name)}: ${text(subject)} ${text(note.action)}, ${text(note.reason)}`
    })
    return notes.length > maxNotes ? [...shown, `- ${text(name)}: ${notes.length - maxNotes} more`] : shown
  })
}
