import type { FastifyReply, FastifyRequest } from 'fastify'
import { found, type ApiContext, type ApiRoutes } from '../../context.ts'
import { createOnce } from '../../create-once.ts'
import { projectOf } from '../../plugins/auth.ts'
import { describeRoute } from '../../route.ts'
import { toPage } from '../../schemas/common.ts'
import { isTerminal, jobSchema, newJobSchema, type JobResource, type JobState } from '../../schemas/job.ts'
import type { JobRow } from '../../../storage/index.ts'
import { artifactRoutes } from './artifacts.ts'
import { readWait } from './durations.ts'
import { eventRoutes } from './events.ts'
import { waitForEnd } from './follow.ts'
import { prepareJob } from './prepare.ts'
import { renderJob } from './render.ts'
import { reportRoutes } from './reports.ts'
import { cancelBody, jobList, jobListQuery, jobParams, readMetadataFilter } from './schema.ts'

const create = describeRoute({
  id: 'createJob',
  tag: 'jobs',
  summary: 'Optimize a model; with `Prefer: wait=60` the answer waits for the end',
  scope: 'jobs:write',
  errors: [
    'not_found',
    'recipe_invalid',
    'gate_invalid',
    'dataset_needed',
    'device_unavailable',
    'body_too_large',
    'unsupported_media_type',
  ],
  idempotent: true,
  schema: { body: newJobSchema, response: { 200: jobSchema, 202: jobSchema } },
})
const list = describeRoute({
  id: 'listJobs',
  tag: 'jobs',
  summary: 'Jobs, newest first, without their stages and candidates',
  scope: 'jobs:read',
  errors: ['invalid_cursor'],
  schema: { querystring: jobListQuery, response: { 200: jobList } },
})
const get = describeRoute({
  id: 'getJob',
  tag: 'jobs',
  summary: 'A job with its stages, placement and verdict',
  scope: 'jobs:read',
  errors: ['not_found'],
  schema: { params: jobParams, response: { 200: jobSchema } },
})
const cancel = describeRoute({
  id: 'cancelJob',
  tag: 'jobs',
  summary: 'Stop a job: at once when it waits, else as soon as its process has ended',
  scope: 'jobs:write',
  errors: ['not_found'],
  schema: { params: jobParams, body: cancelBody, response: { 202: jobSchema } },
})
const retry = describeRoute({
  id: 'retryJob',
  tag: 'jobs',
  summary: 'A new job with the input of one that has ended',
  scope: 'jobs:write',
  errors: ['not_found', 'job_not_finished'],
  idempotent: true,
  schema: { params: jobParams, response: { 202: jobSchema } },
})

export const jobRoutes: ApiRoutes = async (app, context) => {
  const { storage, limits } = context
  app.post('/jobs', create, async (request, reply) => {
    const project = projectOf(request)
    const body = await createOnce(request, reply, storage.idempotency, request.body, async () => {
      const job = await prepareJob(storage, project, {
        body: request.body,
        text: request.bodyText,
        now: new Date(),
      })
      const row = await storage.jobs.create({ ...job, maxAttempts: limits.jobAttempts })
      return announce(context, request, row)
    })
    return answerWhenDone(context, request, reply, body)
  })
  app.get('/jobs', list, async (request) => {
    const { limit = 20, after, state, model } = request.query
    const filter = {
      state: state?.split(',') as JobState[] | undefined,
      modelId: model,
      metadata: readMetadataFilter(request.query),
    }
    return toPage(await storage.jobs.list(projectOf(request), filter, { limit, after }), (row) => renderJob(row))
  })
  app.get('/jobs/:id', get, async (request, reply) => {
    // Jobs are polled, and a serializer made from a schema with unions validates every value to find its branch.
    reply.type('application/json; charset=utf-8').serializer(JSON.stringify)
    return readJob(context, projectOf(request), request.params.id)
  })
  app.post('/jobs/:id/cancel', cancel, async (request, reply) => {
    const { id } = request.params
    const { reason = 'requested' } = request.body
    found(await storage.jobs.requestCancel(projectOf(request), id, reason), `job ${id}`)
    reply.code(202)
    return readJob(context, projectOf(request), id)
  })
  app.post('/jobs/:id/retry', retry, async (request, reply) => {
    const { id } = request.params
    return createOnce(request, reply, storage.idempotency, null, async () => {
      const row = found(await storage.jobs.retry(projectOf(request), id), `job ${id}`)
      return announce(context, request, row)
    })
  })
  eventRoutes(app, context)
  artifactRoutes(app, context)
  reportRoutes(app, context)
}

async function readJob({ storage }: ApiContext, project: string, id: string): Promise<JobResource> {
  const job = found(await storage.jobs.find(project, id, { notes: false }), `job ${id}`)
  return renderJob(job, job)
}

/** The row is the job; its message may get lost, and the reconciler of the workers sends it again. */
async function announce({ queue }: ApiContext, request: FastifyRequest, row: JobRow) {
  try {
    await queue.enqueue(row.id, row.queue)
  } catch (error) {
    request.log.warn({ err: error, job: row.id }, 'job stored but not announced; the reconciler will')
  }
  return { status: 202 as const, location: `/v1/jobs/${row.id}`, body: renderJob(row) }
}

async function answerWhenDone(
  context: ApiContext,
  request: FastifyRequest,
  reply: FastifyReply,
  created: JobResource,
): Promise<JobResource> {
  const waitMs = readWait(request.headers['prefer'])
  if (waitMs === 0) return created
  const project = projectOf(request)
  const { storage, watch } = context
  const gone = new AbortController()
  reply.raw.once('close', () => gone.abort())
  await waitForEnd({ jobs: storage.jobs, watch, project, jobId: created.id, waitMs, signal: gone.signal })
  const job = await readJob(context, project, created.id)
  reply.code(isTerminal(job.state) ? 200 : 202).header('preference-applied', `wait=${waitMs / 1000}`)
  return job
}
