import { HastenError } from '../../../errors.ts'
import { found, type ApiApp, type ApiContext } from '../../context.ts'
import { projectOf } from '../../plugins/auth.ts'
import { readFindings } from '../../reports/artifacts.ts'
import { renderHtml } from '../../reports/html.ts'
import { renderMarkdown } from '../../reports/markdown.ts'
import { buildReport, type ReportView } from '../../reports/view.ts'
import { describeRoute } from '../../route.ts'
import { isTerminal } from '../../schemas/job.ts'
import { jobParams } from './schema.ts'

interface ReportFormat {
  readonly type: string
  readonly render: (view: ReportView) => string
}

const formats = {
  json: { type: 'application/json', render: (view) => JSON.stringify(view) },
  md: { type: 'text/markdown', render: renderMarkdown },
  html: { type: 'text/html', render: renderHtml },
} as const satisfies Record<string, ReportFormat>

type FormatName = keyof typeof formats
const formatNames = Object.keys(formats) as FormatName[]

const describeReport = (id: string, summary: string, types: readonly string[]) =>
  describeRoute({
    id,
    tag: 'jobs',
    summary,
    scope: 'jobs:read',
    errors: ['not_found', 'job_not_finished'],
    media: { 200: types },
    schema: { params: jobParams },
  })

/** The evidence of an ended job, by suffix or by `Accept`. */
export function reportRoutes(app: ApiApp, context: ApiContext): void {
  const types = formatNames.map((name) => formats[name].type)
  const negotiated = describeReport('getReport', 'The report in the form `Accept` asks for', types)
  app.get('/jobs/:id/report', negotiated, async (request, reply) => {
    const format = formats[chooseFormat(request.headers.accept)]
    const view = await readReport(context, projectOf(request), request.params.id)
    return reply
      .header('vary', 'accept')
      .headers(reportHeaders)
      .type(`${format.type}; charset=utf-8`)
      .send(format.render(view))
  })
  for (const name of formatNames) {
    const { type, render } = formats[name]
    const route = describeReport(`getReport${name.toUpperCase()}`, `The report as ${type}`, [type])
    app.get(`/jobs/:id/report.${name}`, route, async (request, reply) => {
      const view = await readReport(context, projectOf(request), request.params.id)
      return reply.headers(reportHeaders).type(`${type}; charset=utf-8`).send(render(view))
    })
  }
}

/** A report shows text from models and clients: even if it were markup, nothing could run or be fetched. */
const reportHeaders = {
  'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'; sandbox",
  'referrer-policy': 'no-referrer',
  'cache-control': 'private, no-cache',
}

async function readReport({ storage }: ApiContext, project: string, id: string): Promise<ReportView> {
  const job = found(await storage.jobs.find(project, id), `job ${id}`)
  if (!isTerminal(job.state)) throw new HastenError('job_not_finished', `${id} is ${job.state}.`)
  const [model, host, findings] = await Promise.all([
    storage.models.find(project, job.modelId),
    job.hostId === null ? undefined : storage.hosts.find(project, job.hostId),
    readFindings(storage, job.files),
  ])
  return buildReport(job, { model, host, findings })
}

/** The form with the highest weight in `Accept`; JSON when it leaves the choice to us. */
export function chooseFormat(accept: string | undefined): FormatName {
  const wanted = (accept ?? '').split(',').map((range) => {
    const [type = '', ...parameters] = range.split(';').map((part) => part.trim().toLowerCase())
    const weight = parameters.find((parameter) => parameter.startsWith('q='))?.slice(2) ?? '1'
    return { type, weight: Number(weight) }
  })
  const weightOf = (name: FormatName) => wanted.find(({ type }) => type === formats[name].type)?.weight ?? 0
  return formatNames.reduce((best, name) => (weightOf(name) > weightOf(best) ? name : best), 'json')
}
