import { HastenError } from '../../../errors.ts'
import { found, type ApiRoutes } from '../../context.ts'
import { createOnce } from '../../create-once.ts'
import { projectOf } from '../../plugins/auth.ts'
import { describeRoute } from '../../route.ts'
import { deletedSchema, idParams, listOf, pageQuerySchema, toPage } from '../../schemas/common.ts'
import { createdKeySchema, keySchema, newKeySchema, renderKey } from './schema.ts'

const create = describeRoute({
  id: 'createKey',
  tag: 'access',
  summary: 'Make a key for this project; its secret is shown once',
  scope: 'admin',
  idempotent: true,
  schema: { body: newKeySchema, response: { 201: createdKeySchema } },
})
const list = describeRoute({
  id: 'listKeys',
  tag: 'access',
  summary: 'Keys of this project, without their secrets',
  scope: 'admin',
  errors: ['invalid_cursor'],
  schema: { querystring: pageQuerySchema, response: { 200: listOf(keySchema) } },
})
const remove = describeRoute({
  id: 'deleteKey',
  tag: 'access',
  summary: 'Revoke a key at once',
  scope: 'admin',
  errors: ['not_found'],
  schema: { params: idParams('key'), response: { 200: deletedSchema } },
})

export const keyRoutes: ApiRoutes = async (app, { storage }) => {
  app.post('/keys', create, async (request, reply) => {
    const { name, scopes, expires_at: expires } = request.body
    const expiresAt = readExpiry(expires)
    return createOnce(request, reply, storage.idempotency, request.body, async () => {
      const { key, secret } = await storage.keys.create({ project: projectOf(request), name, scopes, expiresAt })
      const body = renderKey(key)
      const kept = { ...body, secret: null }
      return { status: 201, location: `/v1/keys/${key.id}`, body: { ...body, secret }, kept }
    })
  })
  app.get('/keys', list, async (request) => {
    const { limit = 20, after } = request.query
    return toPage(await storage.keys.list(projectOf(request), { limit, after }), renderKey)
  })
  app.delete('/keys/:id', remove, async (request) => {
    const { id } = request.params
    found((await storage.keys.remove(projectOf(request), id)) || undefined, `key ${id}`)
    return { id, object: 'key', deleted: true as const }
  })
}

function readExpiry(text: string | null | undefined): Date | null {
  if (text === null || text === undefined) return null
  const date = new Date(text)
  if (date > new Date()) return date
  throw new HastenError('invalid_request', 'The key would have expired already.', {
    errors: [{ pointer: '/expires_at', detail: 'must be in the future' }],
  })
}
