import { Type } from 'typebox'
import { found, type ApiRoutes } from '../../context.ts'
import { projectOf } from '../../plugins/auth.ts'
import { describeRoute } from '../../route.ts'
import { closed, idParams } from '../../schemas/common.ts'
import { drainBody, hostSchema, renderHost } from './schema.ts'

const list = describeRoute({
  id: 'listHosts',
  tag: 'fleet',
  summary: 'Workers: what they have, what they do',
  scope: 'jobs:read',
  schema: {
    response: { 200: Type.Object({ object: Type.Literal('list'), data: Type.Array(hostSchema) }, closed) },
  },
})
const drain = describeRoute({
  id: 'drainHost',
  tag: 'fleet',
  summary: 'Let a worker end its jobs and take no new ones',
  scope: 'admin',
  errors: ['not_found'],
  schema: { params: idParams('hst'), body: drainBody, response: { 200: hostSchema } },
})

export const hostRoutes: ApiRoutes = async (app, { storage }) => {
  app.get('/hosts', list, async (request) => {
    const rows = await storage.hosts.list(projectOf(request))
    return { object: 'list' as const, data: rows.map((row) => renderHost(row)) }
  })
  app.post('/hosts/:id/drain', drain, async (request) => {
    const { id } = request.params
    const draining = request.body.draining
    return renderHost(found(await storage.hosts.setDraining(projectOf(request), id, draining), `host ${id}`))
  })
}
