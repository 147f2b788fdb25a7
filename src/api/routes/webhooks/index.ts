import { found, type ApiApp, type ApiContext, type ApiRoutes } from '../../context.ts'
import { createOnce } from '../../create-once.ts'
import { projectOf } from '../../plugins/auth.ts'
import { describeRoute } from '../../route.ts'
import { deletedSchema, idParams, listOf, pageQuerySchema, toPage } from '../../schemas/common.ts'
import {
  createdWebhookSchema,
  deliveryList,
  deliveryParams,
  deliverySchema,
  newWebhookSchema,
  renderDelivery,
  renderWebhook,
  webhookChangeSchema,
  webhookSchema,
} from './schema.ts'

const create = describeRoute({
  id: 'createWebhook',
  tag: 'webhooks',
  summary: 'Be told when jobs end, signed to the Standard Webhooks specification',
  scope: 'admin',
  idempotent: true,
  schema: { body: newWebhookSchema, response: { 201: createdWebhookSchema } },
})
const list = describeRoute({
  id: 'listWebhooks',
  tag: 'webhooks',
  summary: 'Webhooks, without their secrets',
  scope: 'admin',
  errors: ['invalid_cursor'],
  schema: { querystring: pageQuerySchema, response: { 200: listOf(webhookSchema) } },
})
const get = describeRoute({
  id: 'getWebhook',
  tag: 'webhooks',
  summary: 'A webhook',
  scope: 'admin',
  errors: ['not_found'],
  schema: { params: idParams('whk'), response: { 200: webhookSchema } },
})
const update = describeRoute({
  id: 'updateWebhook',
  tag: 'webhooks',
  summary: 'Change address or events, switch off or on',
  scope: 'admin',
  errors: ['not_found'],
  schema: { params: idParams('whk'), body: webhookChangeSchema, response: { 200: webhookSchema } },
})
const remove = describeRoute({
  id: 'deleteWebhook',
  tag: 'webhooks',
  summary: 'Delete a webhook and its deliveries',
  scope: 'admin',
  errors: ['not_found'],
  schema: { params: idParams('whk'), response: { 200: deletedSchema } },
})
const deliveries = describeRoute({
  id: 'listWebhookDeliveries',
  tag: 'webhooks',
  summary: 'What was sent, newest first, and how it went',
  scope: 'admin',
  errors: ['not_found', 'invalid_cursor'],
  schema: { params: idParams('whk'), querystring: pageQuerySchema, response: { 200: deliveryList } },
})
const test = describeRoute({
  id: 'testWebhook',
  tag: 'webhooks',
  summary: 'Send a delivery of type webhook.test',
  scope: 'admin',
  errors: ['not_found'],
  schema: { params: idParams('whk'), response: { 202: deliverySchema } },
})
const redeliver = describeRoute({
  id: 'redeliverWebhook',
  tag: 'webhooks',
  summary: 'Send a delivery again, as a new one',
  scope: 'admin',
  errors: ['not_found'],
  schema: { params: deliveryParams, response: { 202: deliverySchema } },
})

export const webhookRoutes: ApiRoutes = async (app, context) => {
  const { storage } = context
  app.post('/webhooks', create, async (request, reply) => {
    const { url, events = ['*'] } = request.body
    return createOnce(request, reply, storage.idempotency, request.body, async () => {
      const row = await storage.webhooks.create({ project: projectOf(request), url, events })
      const body = renderWebhook(row)
      const kept = { ...body, secret: null }
      return { status: 201, location: `/v1/webhooks/${row.id}`, body: { ...body, secret: row.secret }, kept }
    })
  })
  app.get('/webhooks', list, async (request) => {
    const { limit = 20, after } = request.query
    return toPage(await storage.webhooks.list(projectOf(request), { limit, after }), renderWebhook)
  })
  app.get('/webhooks/:id', get, async (request) => {
    const { id } = request.params
    return renderWebhook(found(await storage.webhooks.find(projectOf(request), id), `webhook ${id}`))
  })
  app.patch('/webhooks/:id', update, async (request) => {
    const { id } = request.params
    return renderWebhook(found(await storage.webhooks.update(projectOf(request), id, request.body), `webhook ${id}`))
  })
  app.delete('/webhooks/:id', remove, async (request) => {
    const { id } = request.params
    found((await storage.webhooks.remove(projectOf(request), id)) || undefined, `webhook ${id}`)
    return { id, object: 'webhook', deleted: true as const }
  })
  deliveryRoutes(app, context)
}

function deliveryRoutes(app: ApiApp, { storage }: ApiContext): void {
  app.get('/webhooks/:id/deliveries', deliveries, async (request) => {
    const { id } = request.params
    const project = projectOf(request)
    const { limit = 20, after } = request.query
    found(await storage.webhooks.find(project, id), `webhook ${id}`)
    return toPage(await storage.webhooks.listDeliveries(project, id, { limit, after }), renderDelivery)
  })
  app.post('/webhooks/:id/test', test, async (request, reply) => {
    const { id } = request.params
    const type = 'webhook.test'
    const payload = { type, timestamp: new Date().toISOString(), data: { webhook: id } }
    reply.code(202)
    return renderDelivery(found(await storage.webhooks.deliver(projectOf(request), id, type, payload), `webhook ${id}`))
  })
  app.post('/webhooks/:id/deliveries/:delivery/redeliver', redeliver, async (request, reply) => {
    const { id, delivery } = request.params
    reply.code(202)
    const row = await storage.webhooks.redeliver(projectOf(request), id, delivery)
    return renderDelivery(found(row, `delivery ${delivery} of webhook ${id}`))
  })
}
