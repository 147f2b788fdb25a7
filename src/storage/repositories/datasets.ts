import { HastenError } from '../../errors.ts'
import type { Database, Transaction } from '../database.ts'
import type { Dataset } from '../generated/client.ts'
import { newId } from '../ids.ts'
import { toJson } from '../json.ts'
import { pageQuery, toPage } from '../paging.ts'
import { omit, type FileRef, type JsonObject, type Page, type Paging } from '../rows.ts'
import { addReferences, dropReferences, findFiles, totalBytes } from './references.ts'

interface NewDataset {
  readonly project: string
  readonly name: string
  readonly files: readonly FileRef[]
  /** `{ arrays: [{ name, dtype, dims }], labels }` of the engine. */
  readonly schema: object
  readonly samples: number
  readonly metadata?: object
}

export interface DatasetRow {
  readonly id: string
  readonly project: string
  readonly name: string
  readonly files: readonly FileRef[]
  /** Hash of the first file. */
  readonly sha256: string
  readonly sizeBytes: number
  readonly schema: JsonObject
  readonly samples: number
  readonly metadata: JsonObject
  readonly createdAt: Date
}

export interface Datasets {
  /** The row and its references in one transaction. Throws not_found when a file is not in the artifact store. */
  create(dataset: NewDataset): Promise<DatasetRow>
  find(project: string, id: string): Promise<DatasetRow | undefined>
  list(project: string, filter: { name?: string | undefined }, paging: Paging): Promise<Page<DatasetRow>>
  /** False when there is none. Throws conflict while an active job needs it. */
  remove(project: string, id: string): Promise<boolean>
}

export function createDatasets({ prisma, transaction }: Database): Datasets {
  return {
    create: (dataset) => transaction((tx) => insertDataset(tx, dataset)),
    async find(project, id) {
      const found = await prisma.dataset.findFirst({ where: { project, id, deletedAt: null } })
      return found === null ? undefined : (await attachFiles(prisma, [found]))[0]
    },
    async list(project, { name }, paging) {
      const { take, where, orderBy } = pageQuery('dst', paging)
      const filter = name === undefined ? {} : { name }
      const found = await prisma.dataset.findMany({
        where: { project, deletedAt: null, ...filter, ...where },
        orderBy,
        take,
      })
      return toPage(await attachFiles(prisma, found), take)
    },
    remove: (project, id) => transaction((tx) => removeDataset(tx, project, id)),
  }
}

async function insertDataset(tx: Transaction, dataset: NewDataset): Promise<DatasetRow> {
  const [main] = dataset.files
  if (main === undefined) throw new HastenError('dataset_invalid', 'A dataset has at least one file')
  const row = await tx.dataset.create({
    data: {
      id: newId('dst'),
      project: dataset.project,
      name: dataset.name,
      sha256: main.sha256,
      sizeBytes: totalBytes(dataset.files),
      schema: toJson(dataset.schema),
      samples: dataset.samples,
      metadata: toJson(dataset.metadata ?? {}),
    },
  })
  await addReferences(tx, { kind: 'dataset', id: row.id, project: row.project }, dataset.files)
  return toDatasetRow(row, dataset.files)
}

/** Keeps the datasets from being removed until the transaction ends. Throws not_found. */
export async function holdDatasets(tx: Transaction, project: string, ids: readonly string[]): Promise<void> {
  const held = await tx.$queryRaw<{ id: string }[]>`
    SELECT id FROM datasets WHERE id = ANY(${ids}) AND project = ${project} AND deleted_at IS NULL ORDER BY id FOR SHARE`
  const missing = ids.find((id) => held.every((row) => row.id !== id))
  if (missing !== undefined) throw new HastenError('not_found', `No dataset ${missing}`)
}

async function removeDataset(tx: Transaction, project: string, id: string): Promise<boolean> {
  const locked = await tx.$queryRaw<unknown[]>`
    SELECT 1 FROM datasets WHERE id = ${id} AND project = ${project} AND deleted_at IS NULL FOR UPDATE`
  if (locked.length === 0) return false
  const [user] = await tx.$queryRaw<{ id: string }[]>`
    SELECT id FROM jobs
    WHERE project = ${project} AND state IN ('queued', 'running', 'canceling')
      AND EXISTS (SELECT 1 FROM jsonb_each_text(datasets) AS used WHERE used.value = ${id})
    LIMIT 1`
  if (user !== undefined) throw new HastenError('conflict', `Job ${user.id} needs dataset ${id}`)
  await dropReferences(tx, 'dataset', id)
  await tx.dataset.update({ where: { id }, data: { deletedAt: new Date() } })
  return true
}

async function attachFiles(tx: Transaction, datasets: readonly Dataset[]): Promise<readonly DatasetRow[]> {
  const ids = datasets.map(({ id }) => id)
  const files = await findFiles(tx, 'dataset', ids)
  return datasets.map((dataset) => toDatasetRow(dataset, files.get(dataset.id) ?? []))
}

function toDatasetRow(dataset: Dataset, files: readonly FileRef[]): DatasetRow {
  return {
    ...omit(dataset, 'deletedAt'),
    files,
    sizeBytes: Number(dataset.sizeBytes),
    schema: dataset.schema as JsonObject,
    metadata: dataset.metadata as JsonObject,
  }
}
