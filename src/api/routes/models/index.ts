import type { FastifyRequest } from 'fastify'
import type { FileRef } from '../../../storage/index.ts'
import { found, type ApiContext, type ApiRoutes } from '../../context.ts'
import { createOnce, type Created } from '../../create-once.ts'
import { sendFile, sendZip } from '../../downloads.ts'
import { projectOf } from '../../plugins/auth.ts'
import { describeRoute } from '../../route.ts'
import { deletedSchema, idParams, nameParams, toPage, type Metadata } from '../../schemas/common.ts'
import { modelSchema, type ModelResource } from '../../schemas/model.ts'
import { modelForm, rawModel } from '../../uploads/documented.ts'
import { readMetadata, readName, refuseUnknownFields } from '../../uploads/fields.ts'
import { receiveForm, receiveRaw } from '../../uploads/receive.ts'
import { storeModel } from '../../uploads/store-model.ts'
import { addGraphRoute } from './graph.ts'
import { listQuery, modelList, renderModel } from './schema.ts'

const uploadErrors = [
  'upload_aborted',
  'body_too_large',
  'unsupported_media_type',
  'archive_invalid',
  'model_invalid',
  'model_unsafe',
  'model_unsupported_op',
  'model_out_of_memory',
  'storage_full',
] as const

const create = describeRoute({
  id: 'createModel',
  tag: 'models',
  summary: 'Upload a model',
  scope: 'models:write',
  errors: [...uploadErrors, 'invalid_name'],
  idempotent: true,
  body: modelForm,
  schema: { response: { 201: modelSchema } },
})
const put = describeRoute({
  id: 'putModelContent',
  tag: 'models',
  summary: 'Upload a model as a raw body',
  scope: 'models:write',
  errors: uploadErrors,
  body: rawModel,
  schema: { params: nameParams, response: { 201: modelSchema } },
})
const list = describeRoute({
  id: 'listModels',
  tag: 'models',
  summary: 'Models, newest first',
  scope: 'models:read',
  errors: ['invalid_cursor'],
  schema: { querystring: listQuery, response: { 200: modelList } },
})
const get = describeRoute({
  id: 'getModel',
  tag: 'models',
  summary: 'A model with its signature and lineage',
  scope: 'models:read',
  errors: ['not_found'],
  schema: { params: idParams('mdl'), response: { 200: modelSchema } },
})
const remove = describeRoute({
  id: 'deleteModel',
  tag: 'models',
  summary: 'Delete a model that no deployment or running job needs',
  scope: 'models:write',
  errors: ['not_found', 'model_in_use'],
  schema: { params: idParams('mdl'), response: { 200: deletedSchema } },
})
const download = describeRoute({
  id: 'getModelContent',
  tag: 'models',
  summary: 'The .onnx, by ranges if wanted; a .zip when it has external data',
  scope: 'models:read',
  errors: ['not_found', 'range_not_satisfiable', 'storage_corrupt'],
  media: { 200: ['application/octet-stream', 'application/zip'], 206: ['application/octet-stream'], 304: [] },
  schema: { params: idParams('mdl') },
})

export const modelRoutes: ApiRoutes = async (app, context) => {
  const { storage, limits } = context
  // Raw uploads are streams that the handler reads, whatever their type.
  app.addContentTypeParser('*', (_request, _payload, done) => done(null, undefined))

  app.post('/models', create, async (request, reply) => {
    const upload = await receiveForm(request, limits.uploadBytes, storing(context))
    refuseUnknownFields(upload.fields, ['name', 'metadata'])
    const name = readName(upload.fields['name'], upload.filename)
    const metadata = readMetadata(upload.fields['metadata'])
    const input = { name, metadata, files: upload.file }
    return createOnce(request, reply, storage.idempotency, input, async () => createModel(context, request, input))
  })
  app.put('/models/:name/content', put, async (request, reply) => {
    const files = await receiveRaw(request, limits.uploadBytes, storing(context))
    const created = await createModel(context, request, { name: request.params.name, metadata: {}, files })
    reply.code(201).header('location', created.location)
    return created.body
  })
  app.get('/models', list, async (request) => {
    const { limit = 20, after, name, job } = request.query
    return toPage(await storage.models.list(projectOf(request), { name, jobId: job }, { limit, after }), renderModel)
  })
  app.get('/models/:id', get, async (request) => {
    const { id } = request.params
    return renderModel(found(await storage.models.find(projectOf(request), id), `model ${id}`))
  })
  app.delete('/models/:id', remove, async (request) => {
    const { id } = request.params
    found((await storage.models.remove(projectOf(request), id)) || undefined, `model ${id}`)
    return { id, object: 'model', deleted: true as const }
  })
  addGraphRoute(app, context)
  app.get('/models/:id/content', download, async (request, reply) => {
    const { id } = request.params
    const { name, files } = found(await storage.models.find(projectOf(request), id), `model ${id}`)
    const [file, ...external] = files
    if (external.length > 0) return sendZip(reply, storage.artifacts, files, `${name}.zip`)
    return sendFile(request, reply, storage.artifacts, found(file, `content of model ${id}`), `${name}.onnx`)
  })
}

function storing({ storage, limits }: ApiContext) {
  return async (content: AsyncIterable<Uint8Array>, signal: AbortSignal) =>
    storeModel(content, { artifacts: storage.artifacts, maxBytes: limits.uploadBytes, signal })
}

interface NewModelInput {
  readonly name: string
  readonly metadata: Metadata
  readonly files: readonly FileRef[]
}

async function createModel(
  { storage, inspect }: ApiContext,
  request: FastifyRequest,
  { name, metadata, files }: NewModelInput,
): Promise<Created<ModelResource>> {
  const { facts, findings } = await inspect.model(files)
  // A job's admission adds the trial run.
  const admission = { findings, trial: null }
  const row = await storage.models.create({
    project: projectOf(request),
    name,
    files,
    signature: facts,
    admission,
    metadata,
  })
  return { status: 201, location: `/v1/models/${row.id}`, body: renderModel(row) }
}
