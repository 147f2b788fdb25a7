import { Type } from 'typebox'
import type { FileRef, ModelRow } from '../../../storage/index.ts'
import { closed, formatTime, idOf, listOf, nameSchema, pageQuery, type Metadata } from '../../schemas/common.ts'
import { modelSchema, type ModelResource } from '../../schemas/model.ts'

export const listQuery = Type.Object(
  { ...pageQuery, name: Type.Optional(nameSchema), job: Type.Optional(idOf('job')) },
  closed,
)

export const modelList = listOf(modelSchema)

export function renderModel(row: ModelRow): ModelResource {
  return {
    id: row.id,
    object: 'model',
    project: row.project,
    name: row.name,
    sha256: row.sha256,
    size_bytes: row.sizeBytes,
    files: row.files.map((file) => renderFile(file)),
    // Written by the inspection as ModelFacts; the response schema checks it again.
    signature: row.signature as ModelResource['signature'],
    admission: row.admission,
    session: row.session,
    parent: row.parentId,
    job: row.jobId,
    metadata: row.metadata as Metadata,
    created_at: formatTime(row.createdAt),
    links: { self: `/v1/models/${row.id}`, content: `/v1/models/${row.id}/content` },
  }
}

function renderFile({ name, sha256, sizeBytes }: FileRef) {
  return { name, sha256, size_bytes: sizeBytes }
}
