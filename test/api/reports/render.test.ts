import { describe, expect, it } from 'vitest'
import { logTicks } from '../../../src/api/reports/charts.ts'
import { linearTicks } from '../../../src/api/reports/training-chart.ts'
import { renderHtml } from '../../../src/api/reports/html.ts'
import type { JobFindings } from '../../../src/api/reports/artifacts.ts'
import { html } from '../../../src/api/reports/html-text.ts'
import { renderMarkdown } from '../../../src/api/reports/markdown.ts'
import { buildReport } from '../../../src/api/reports/view.ts'
import { chooseFormat } from '../../../src/api/routes/jobs/reports.ts'
import { sampleFindings } from './sample-findings.ts'
import { sampleJob, sampleVerdict } from './sample-job.ts'

const hostile = `"><script>alert(1)</script><img src=x onerror=alert(1)> | ](javascript:x) \`'\n## h`

function hostileJob() {
  const [stage] = sampleJob().stages
  return sampleJob({
    recipe: { id: null, name: hostile, version: null, body: { description: hostile, steps: [] } },
    placement: { device: hostile, [hostile]: hostile, isa: [hostile] },
    gates: [hostile],
    verdict: { ...sampleVerdict, gates: [{ expr: hostile, passed: false, detail: hostile }], passed: false },
    warnings: [{ code: hostile, detail: hostile, hint: hostile }],
    error: { code: 'internal', detail: hostile, hint: hostile, errors: [] },
    stages: [
      { ...stage!, name: hostile, notes: [{ node: hostile, op: hostile, action: 'done', reason: { a: hostile } }] },
    ],
  })
}

const reportOf = (job = sampleJob(), name = 'digits', findings: JobFindings = sampleFindings()) =>
  buildReport(job, { model: { name }, findings, host: { inventory: { cpu: { model: 'Xeon', isa: ['avx512_vnni'] } } } })

describe('the HTML report', () => {
  it('shows the verdict, the evidence with its interval, and its charts', () => {
    const page = renderHtml(reportOf())
    expect(page).toContain('2.50 times as fast as the original on this host.')
    expect(page).toContain('2.50× [2.40, 2.60]')
    expect(page).toContain('p50 is 2 ms, wanted &lt;= 4 ms')
    expect(page).toContain('Quality against labels (classification) on 2000 samples.')
    for (const fact of ['avx512_vnni', 'rounds']) expect(page).toContain(fact)
    expect(page.match(/<svg\b/g)).toHaveLength(4)
    expect(page).toContain('aria-label="Speed-up 2.50, 95 % interval 2.40 to 2.60"')
    expect(page).not.toContain('NaN')
  })

  it('needs no script and fetches nothing', () => {
    const page = renderHtml(reportOf())
    expect(page).not.toMatch(/<script|<link|<iframe|https?:|@import|url\(|\ssrc=|\shref=/i)
    expect(page).toContain('@media print')
    expect(page).toContain('prefers-color-scheme:dark')
  })

  it('escapes names, notes, warnings and errors', () => {
    const page = renderHtml(reportOf(hostileJob(), hostile, sampleFindings(hostile)))
    expect(page).not.toMatch(/<script|<img|onerror=alert\(1\)>/)
    expect(page.match(/&lt;script&gt;/g)?.length).toBeGreaterThan(10)
  })

  it('shows every trial, what each layer costs, and what became of each node', () => {
    const page = renderHtml(reportOf()).replaceAll(/\s+/g, ' ')
    expect(page).toContain('<td>auto</td> <td class="num">2.50× [2.40, 2.60]</td> <td class="num">0.002</td>')
    expect(page).toContain('the result, best trade')
    expect(page).toContain('best trade, over the limit')
    expect(page).toContain('top-1 lost 0.05 with every layer in int8, 0.004 as settled; 0.01 was allowed.')
    expect(page).toContain('conv1: 2.40× was expected (1.90× to 2.90×), for 6 layers of 900 µs in float take 300 µs')
    expect(page).toContain('<td>slower</td>')
    expect(page).toContain('<td>uint8 × int8</td>')
    expect(page).toContain('Fused kernels lost: FusedConv 3.')
    expect(page).toContain('Nodes left because their quantized kernel is slower on this host: 1.')
    expect(page).toContain('conversions left: 1')
  })

  it('shows how a training went: the outcome, the curves, each epoch', () => {
    const page = renderHtml(reportOf()).replaceAll(/\s+/g, ' ')
    expect(page).toContain('<h2>Training</h2>')
    expect(page).toContain(
      '<strong>conv1</strong>: loss 1.25, agreement 50.00 % became loss 0.5, agreement 90.00 % on samples held back; epoch 2 was the best and is kept.',
    )
    expect(page).toContain('Learned from original, conv1 at temperature 4, with labels weighing 0.5, on 90 samples')
    expect(page).toContain('9 updates in 3 epochs, until all epochs were done.')
    expect(page).toContain('250 zeros of 1 pruned weight stayed 0: 25.00 % of what was trained.')
    expect(page).toContain('Went on from a checkpoint in epoch 2, after 4 updates.')
    expect(page).toContain('<td class="num">0.5</td><td class="num">90.00 %</td><td>kept</td>')
    const [training, validation, metric] = [...page.matchAll(/<polyline class="\w+" points="([^"]*)"/g)].slice(2)
    expect(training![1]!.split(' ')).toHaveLength(9)
    expect(validation![1]!.split(' ')).toHaveLength(4)
    // The better, the higher: epoch 2 stands above all others.
    const heights = metric![1]!.split(' ').map((point) => Number(point.split(',')[1]))
    expect(Math.min(...heights)).toBe(heights[2])
  })

  it('tells of a training that was not judged, or brought nothing', () => {
    const { training } = sampleFindings()
    const sentence = (change: object) =>
      renderMarkdown(reportOf(sampleJob(), 'digits', { training: { steps: [{ ...training.steps[0]!, ...change }] } }))
    expect(sentence({ best_epoch: 0 })).toContain('- conv1: no epoch was better than before')
    const epochs = training.steps[0]!.epochs.map((epoch) =>
      Object.assign(epoch, { validation_loss: null, metric: null }),
    )
    expect(sentence({ epochs, metric: null, best_epoch: 3 })).toContain(
      'training loss 1.1 became 0.4; nothing was held',
    )
  })

  it('numbers the trainings of a job that has several', () => {
    const [step] = sampleFindings().training.steps
    const findings = { training: { steps: [step!, { ...step!, pass: 'qat' }] } }
    const page = renderHtml(reportOf(sampleJob(), 'digits', findings))
    for (const name of ['conv1 (1 of 2)', 'qat (2 of 2)']) expect(page).toContain(`<strong>${name}</strong>`)
    expect(renderMarkdown(reportOf(sampleJob(), 'digits', findings))).toContain('- qat \\(2 of 2\\): loss 1.25')
  })

  it('has no such sections for a job that kept none', () => {
    const page = renderHtml(buildReport(sampleJob()))
    for (const title of ['Trials', 'Training', 'Sensitivity', 'Explanation']) expect(page).not.toContain(title)
    expect(buildReport(sampleJob())).toMatchObject({
      trials: null,
      training: null,
      sensitivity: null,
      explanation: null,
      forecast: null,
    })
  })

  it.each([
    ['failed', { error: { code: 'pass_failed', detail: 'boom', hint: 'h', errors: [] } }, 'The job failed: boom'],
    ['canceled', {}, 'The job was canceled'],
    ['expired', {}, 'The job expired before it started'],
  ] as const)('says that a job %s, without numbers it does not have', (state, changes, headline) => {
    const job = sampleJob({ state, verdict: null, candidates: [], placement: null, ...changes })
    const page = renderHtml(reportOf(job, 'digits', {}))
    expect(page).toContain(headline)
    expect(page).not.toContain('<svg')
    expect(page).toContain('not judged')
  })

  it('warns when quality was judged on made-up inputs', () => {
    const basis = { task: 'agreement', samples: 64, generated: true }
    const page = renderHtml(reportOf(sampleJob({ verdict: { ...sampleVerdict, quality_basis: basis } })))
    expect(page).toContain('on 64 generated inputs: says little')
  })

  it('never claims more than the verdict', () => {
    const headlineOf = (changes: object) =>
      buildReport(sampleJob({ verdict: { ...sampleVerdict, ...changes } })).verdict
    expect(headlineOf({ significance: 'same' })).toMatchObject({
      tone: 'neutral',
      headline: expect.stringContaining('Not measurably'),
    })
    expect(headlineOf({ significance: 'slower', speedup: { p50: 0.5 } })).toMatchObject({
      headline: expect.stringContaining('2.00 times slower'),
    })
    const reason = 'int8-static fails the gate size <= 1KB: too large. The original stays the result.'
    const gates = [{ expr: 'size <= 1KB', passed: false }]
    expect(headlineOf({ passed: false, reason, gates })).toMatchObject({ tone: 'bad', headline: reason })
    // Not better is no fault of anybody's, as long as every gate holds.
    expect(headlineOf({ passed: false, reason: 'It is slower.' })).toMatchObject({ tone: 'neutral' })
    expect(headlineOf({ speedup: undefined })).toMatchObject({ headline: 'Speed was not measured.' })
  })
})

describe('the Markdown report', () => {
  it('has the tables', () => {
    const text = renderMarkdown(reportOf())
    expect(text).toContain('| p50 latency | 5.00 ms | 2.00 ms | 2.50× [2.40, 2.60] |')
    expect(text).toContain('| Top-1 accuracy | 98.70 % | 98.50 % | −0.20 pp [−0.60, +0.10] |')
    expect(text).toContain('| ✅ | p50 &lt;= 0.8 \\* baseline |')
    expect(text).toContain('- optimize: Conv conv1 skipped, depthwise')
    expect(text).toContain('```yaml\nversion: 1\n')
    expect(text).toContain('| auto | 2.50× [2.40, 2.60] | 0.002 | the result, best trade | conv1 |')
    expect(text).toContain('| 1 | Conv | conv1 | 0.04 | float |')
    expect(text).toContain('| 2 | 6 | 0.00025 | 0.5 | 0.5 | 90.00 % | kept |')
    expect(text).toContain('Measured of the whole recipe: 2.50× \\[2.40, 2.60\\].')
    expect(text).toContain('Fused kernels gained: QLinearConv 5.')
  })

  it('keeps foreign text on one line and out of markup', () => {
    const text = renderMarkdown(reportOf(hostileJob(), hostile, sampleFindings(hostile)))
    const outside = text.replace(/```yaml[\s\S]*?\n```/, '')
    expect(outside).not.toMatch(/<script|<img/)
    expect(outside).not.toMatch(/(?<!\\)\]\(javascript/)
    expect(outside).not.toMatch(/^## h/m)
    for (const line of outside.split('\n').filter((row) => row.startsWith('| '))) {
      expect(line.match(/(?<!\\)\|/g)?.length, line).toBeGreaterThanOrEqual(3)
    }
  })

  it('cuts long lists of notes and says so', () => {
    const [stage] = sampleJob().stages
    const notes = Array.from({ length: 150 }, (_, index) => ({
      node: `n${index}`,
      op: 'Conv',
      action: 'done',
      reason: 'x',
    }))
    expect(renderMarkdown(reportOf(sampleJob({ stages: [{ ...stage!, notes }] })))).toContain('- optimize: 50 more')
  })
})

describe('html templates', () => {
  it('escape values but not markup', () => {
    const inner = html`<b>${'<&"\''}</b>`
    expect(html`<p title="${'a"b'}">${inner}${[inner, 'x<y', 3]}</p>`.markup).toBe(
      '<p title="a&quot;b"><b>&lt;&amp;&quot;&#39;</b><b>&lt;&amp;&quot;&#39;</b>x&lt;y3</p>',
    )
  })
})

it('puts round ticks inside a logarithmic axis', () => {
  expect(logTicks(0.7, 12)).toEqual([1, 2, 5, 10])
})

it.each([
  [0, 1.25, [0, 0.5, 1]],
  [0.5, 0.9, [0.5, 0.6, 0.7, 0.8, 0.9]],
  [-0.2, 3, [0, 1, 2, 3]],
  [2, 2, [2]],
])('puts round ticks between %d and %d', (low, high, ticks) => {
  expect(linearTicks(low, high)).toEqual(ticks)
})

it.each([
  [undefined, 'json'],
  ['*/*', 'json'],
  ['text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8', 'html'],
  ['text/markdown', 'md'],
  ['text/html;q=0.2, text/markdown;q=0.9', 'md'],
  ['application/json, text/html', 'json'],
  ['text/html;q=0', 'json'],
])('chooses for Accept %j the form %s', (accept, name) => {
  expect(chooseFormat(accept)).toBe(name)
})
