import { Type } from 'typebox'
import type { DatasetRow } from '../../../storage/index.ts'
import { found, type ApiRoutes } from '../../context.ts'
import { createOnce } from '../../create-once.ts'
import { projectOf } from '../../plugins/auth.ts'
import { describeRoute } from '../../route.ts'
import {
  closed,
  deletedSchema,
  formatTime,
  idParams,
  listOf,
  nameSchema,
  pageQuery,
  toPage,
  type Metadata,
} from '../../schemas/common.ts'
import { datasetSchema, type DatasetResource } from '../../schemas/model.ts'
import { datasetForm } from '../../uploads/documented.ts'
import { readMetadata, readName, refuseUnknownFields } from '../../uploads/fields.ts'
import { receiveForm } from '../../uploads/receive.ts'
import { storeDataset } from '../../uploads/store-dataset.ts'

const create = describeRoute({
  id: 'createDataset',
  tag: 'datasets',
  summary: 'Upload samples',
  scope: 'models:write',
  errors: [
    'invalid_name',
    'upload_aborted',
    'body_too_large',
    'unsupported_media_type',
    'dataset_invalid',
    'storage_full',
  ],
  idempotent: true,
  body: datasetForm,
  schema: { response: { 201: datasetSchema } },
})
const list = describeRoute({
  id: 'listDatasets',
  tag: 'datasets',
  summary: 'Datasets, newest first',
  scope: 'models:read',
  errors: ['invalid_cursor'],
  schema: {
    querystring: Type.Object({ ...pageQuery, name: Type.Optional(nameSchema) }, closed),
    response: { 200: listOf(datasetSchema) },
  },
})
const get = describeRoute({
  id: 'getDataset',
  tag: 'datasets',
  summary: 'A dataset with its arrays',
  scope: 'models:read',
  errors: ['not_found'],
  schema: { params: idParams('dst'), response: { 200: datasetSchema } },
})
const remove = describeRoute({
  id: 'deleteDataset',
  tag: 'datasets',
  summary: 'Delete a dataset that no running job needs',
  scope: 'models:write',
  errors: ['not_found', 'conflict'],
  schema: { params: idParams('dst'), response: { 200: deletedSchema } },
})

export const datasetRoutes: ApiRoutes = async (app, { storage, inspect, limits }) => {
  app.post('/datasets', create, async (request, reply) => {
    const maxBytes = limits.uploadBytes
    const store = async (content: AsyncIterable<Uint8Array>, signal: AbortSignal) =>
      storeDataset(content, { artifacts: storage.artifacts, maxBytes, signal })
    const { fields, file, filename } = await receiveForm(request, maxBytes, store)
    refuseUnknownFields(fields, ['name', 'metadata', 'label'])
    const input = {
      name: readName(fields['name'], filename),
      metadata: readMetadata(fields['metadata']),
      files: [file],
    }
    const { label } = fields
    return createOnce(request, reply, storage.idempotency, { ...input, label }, async () => {
      const inspected = await inspect.dataset(file, label)
      const row = await storage.datasets.create({ project: projectOf(request), ...input, ...inspected })
      return { status: 201, location: `/v1/datasets/${row.id}`, body: renderDataset(row) }
    })
  })
  app.get('/datasets', list, async (request) => {
    const { limit = 20, after, name } = request.query
    return toPage(await storage.datasets.list(projectOf(request), { name }, { limit, after }), renderDataset)
  })
  app.get('/datasets/:id', get, async (request) => {
    const { id } = request.params
    return renderDataset(found(await storage.datasets.find(projectOf(request), id), `dataset ${id}`))
  })
  app.delete('/datasets/:id', remove, async (request) => {
    const { id } = request.params
    found((await storage.datasets.remove(projectOf(request), id)) || undefined, `dataset ${id}`)
    return { id, object: 'dataset', deleted: true as const }
  })
}

/** Arrays and labels as the inspection stored them. */
interface DatasetSchema {
  readonly arrays: DatasetResource['arrays']
  readonly labels: string | null
}

export function renderDataset(row: DatasetRow): DatasetResource {
  const { arrays, labels } = row.schema as unknown as DatasetSchema
  return {
    id: row.id,
    object: 'dataset',
    project: row.project,
    name: row.name,
    sha256: row.sha256,
    size_bytes: row.sizeBytes,
    samples: row.samples,
    arrays,
    labels,
    metadata: row.metadata as Metadata,
    created_at: formatTime(row.createdAt),
    links: { self: `/v1/datasets/${row.id}` },
  }
}
