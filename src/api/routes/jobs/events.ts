import type { FastifyReply } from 'fastify'
import { found, type ApiApp, type ApiContext } from '../../context.ts'
import { projectOf } from '../../plugins/auth.ts'
import { describeRoute } from '../../route.ts'
import { followEvents } from './follow.ts'
import { renderEvent } from './render.ts'
import { eventHeaders, eventList, eventQuery, jobParams } from './schema.ts'

const events = describeRoute({
  id: 'listJobEvents',
  tag: 'jobs',
  summary: 'What happened: a JSON page, or with `Accept: text/event-stream` all of it as it happens',
  scope: 'jobs:read',
  errors: ['not_found'],
  media: { 200: ['application/json', 'text/event-stream'] },
  schema: { params: jobParams, querystring: eventQuery, headers: eventHeaders, response: { 200: eventList } },
})

/** JSON page or SSE of one job's events. Sequence numbers are the SSE ids, so either continues where the other ended. */
export function eventRoutes(app: ApiApp, context: ApiContext): void {
  const { storage } = context
  app.get('/jobs/:id/events', { ...events, sse: 'dual' }, async (request, reply) => {
    const project = projectOf(request)
    const { id } = request.params
    const { after = 0, limit = 100 } = request.query
    found(await storage.jobs.findRow(project, id), `job ${id}`)
    if (reply.sse !== undefined) {
      await streamEvents(context, reply, { project, jobId: id, after: Number(reply.sse.lastEventId ?? after) })
      return reply
    }
    const rows = await storage.events.list(project, id, { after, limit: limit + 1 })
    const data = rows.slice(0, limit).map((row) => renderEvent(row))
    const more = rows.length > limit
    return { object: 'list' as const, data, has_more: more, next_cursor: more ? String(data.at(-1)?.seq) : null }
  })
}

interface StreamStart {
  readonly project: string
  readonly jobId: string
  readonly after: number
}

async function streamEvents({ storage, watch }: ApiContext, reply: FastifyReply, start: StreamStart): Promise<void> {
  const subscription = await watch.subscribe(start.jobId)
  reply.sse.onClose(() => subscription.close())
  reply.sse.sendHeaders()
  try {
    await reply.sse.send(followEvents({ storage, subscription, ...start }))
  } catch (error) {
    // The head is sent, so no problem document can follow: the client sees the stream end and reconnects.
    reply.log.error({ err: error, job: start.jobId }, 'event stream failed')
  } finally {
    subscription.close()
    reply.sse.close()
  }
}
