import { HastenError } from '../../errors.ts'
import type { Database, Transaction } from '../database.ts'
import { Prisma, type Model } from '../generated/client.ts'
import { newId } from '../ids.ts'
import { toJson } from '../json.ts'
import { pageQuery, toPage } from '../paging.ts'
import { omit, type FileRef, type JsonObject, type Page, type Paging } from '../rows.ts'
import { activeStates } from './jobs/states.ts'
import { addReferences, dropReferences, findFiles, totalBytes } from './references.ts'

export interface NewModel {
  readonly project: string
  readonly name: string
  /** The .onnx file and its external data. */
  readonly files: readonly FileRef[]
  /** ModelFacts of the engine. */
  readonly signature: object
  readonly admission?: object | null
  readonly session?: object
  readonly golden?: object | null
  readonly parentId?: string | null
  readonly jobId?: string | null
  readonly metadata?: object
}

export interface ModelRow {
  readonly id: string
  readonly project: string
  readonly name: string
  readonly files: readonly FileRef[]
  /** Hash of the .onnx file. */
  readonly sha256: string
  /** Bytes of all files. */
  readonly sizeBytes: number
  readonly signature: JsonObject
  readonly admission: JsonObject | null
  readonly session: JsonObject
  /** What it answered to generated inputs, and where; null until it was first loaded. */
  readonly golden: JsonObject | null
  readonly parentId: string | null
  readonly jobId: string | null
  readonly metadata: JsonObject
  readonly createdAt: Date
}

interface MeasuredRun {
  readonly rows: number
  readonly ms: number
}

export interface Models {
  /** The row and its references in one transaction. Throws not_found when a file is not in the artifact store. */
  create(model: NewModel): Promise<ModelRow>
  find(project: string, id: string): Promise<ModelRow | undefined>
  /** The newest model of that name. */
  findByName(project: string, name: string): Promise<ModelRow | undefined>
  list(
    project: string,
    filter: { name?: string | undefined; jobId?: string | undefined },
    paging: Paging,
  ): Promise<Page<ModelRow>>
  setAdmission(project: string, id: string, admission: object): Promise<boolean>
  /** Only the first counts; false when there is one already, or no model. */
  setGolden(project: string, id: string, golden: object): Promise<boolean>
  /** What a run took in the newest job that measured it, as its median; undefined when none did. */
  measured(model: Pick<ModelRow, 'project' | 'id' | 'jobId'>): Promise<MeasuredRun | undefined>
  /** False when there is none. Throws model_in_use while an active job or a deployment needs it. */
  remove(project: string, id: string): Promise<boolean>
}

export function createModels({ prisma, transaction }: Database): Models {
  const read = (where: Prisma.ModelWhereInput) =>
    prisma.model.findFirst({ where: { ...where, deletedAt: null }, orderBy: { id: 'desc' } })
  const withFiles = async (model: Model | null) =>
    model === null ? undefined : (await attachFiles(prisma, [model]))[0]
  return {
    create: (model) => transaction((tx) => insertModel(tx, model)),
    find: async (project, id) => withFiles(await read({ project, id })),
    findByName: async (project, name) => withFiles(await read({ project, name })),
    async measured({ project, id: modelId, jobId }) {
      // By the jobs that made it or worked on it, which are indexed.
      const job = { OR: [{ modelId }, ...(jobId === null ? [] : [{ id: jobId }])] }
      const found = await prisma.jobCandidate.findFirst({ where: { project, modelId, job }, orderBy: { id: 'desc' } })
      return found === null ? undefined : toMeasuredRun(found.measurement as JsonObject)
    },
    async list(project, { name, jobId }, paging) {
      const { take, where, orderBy } = pageQuery('mdl', paging)
      const filter = { ...(name === undefined ? {} : { name }), ...(jobId === undefined ? {} : { jobId }) }
      const found = await prisma.model.findMany({
        where: { project, deletedAt: null, ...filter, ...where },
        orderBy,
        take,
      })
      return toPage(await attachFiles(prisma, found), take)
    },
    async setAdmission(project, id, admission) {
      const where = { project, id, deletedAt: null }
      const { count } = await prisma.model.updateMany({ where, data: { admission: toJson(admission) } })
      return count === 1
    },
    async setGolden(project, id, golden) {
      const where = { project, id, deletedAt: null, golden: { equals: Prisma.AnyNull } }
      const { count } = await prisma.model.updateMany({ where, data: { golden: toJson(golden) } })
      return count === 1
    },
    remove: (project, id) => transaction((tx) => removeModel(tx, project, id)),
  }
}

/** Writes the row and its references; for a transaction that publishes more with it. */
export async function insertModel(tx: Transaction, model: NewModel): Promise<ModelRow> {
  const main = model.files.find(({ name }) => name.toLowerCase().endsWith('.onnx')) ?? model.files[0]
  if (main === undefined) throw new HastenError('model_invalid', 'A model has at least one file')
  const row = await tx.model.create({
    data: {
      id: newId('mdl'),
      project: model.project,
      name: model.name,
      sha256: main.sha256,
      sizeBytes: totalBytes(model.files),
      signature: toJson(model.signature),
      admission: model.admission ? toJson(model.admission) : Prisma.DbNull,
      session: toJson(model.session ?? {}),
      golden: model.golden ? toJson(model.golden) : Prisma.DbNull,
      parentId: model.parentId ?? null,
      jobId: model.jobId ?? null,
      metadata: toJson(model.metadata ?? {}),
    },
  })
  await addReferences(tx, { kind: 'model', id: row.id, project: row.project }, model.files)
  return toModelRow(row, model.files)
}

/** Keeps the model from being removed until the transaction ends. Throws not_found. */
export async function holdModel(tx: Transaction, project: string, id: string): Promise<void> {
  const held = await tx.$queryRaw<unknown[]>`
    SELECT 1 FROM models WHERE id = ${id} AND project = ${project} AND deleted_at IS NULL FOR SHARE`
  if (held.length === 0) throw new HastenError('not_found', `No model ${id}`)
}

async function removeModel(tx: Transaction, project: string, id: string): Promise<boolean> {
  const locked = await tx.$queryRaw<unknown[]>`
    SELECT 1 FROM models WHERE id = ${id} AND project = ${project} AND deleted_at IS NULL FOR UPDATE`
  if (locked.length === 0) return false
  const job = await tx.job.findFirst({ where: { modelId: id, state: { in: [...activeStates] } } })
  if (job !== null) throw new HastenError('model_in_use', `Job ${job.id} needs model ${id}`)
  const version = await tx.deploymentVersion.findFirst({
    where: { modelId: id, deployment: { deletedAt: null } },
    include: { deployment: true },
  })
  if (version !== null)
    throw new HastenError('model_in_use', `Deployment ${version.deployment.name} serves model ${id}`)
  await dropReferences(tx, 'model', id)
  await tx.model.update({ where: { id }, data: { deletedAt: new Date() } })
  return true
}

async function attachFiles(tx: Transaction, models: readonly Model[]): Promise<readonly ModelRow[]> {
  const ids = models.map(({ id }) => id)
  const files = await findFiles(tx, 'model', ids)
  return models.map((model) => toModelRow(model, files.get(model.id) ?? []))
}

function toModelRow(model: Model, files: readonly FileRef[]): ModelRow {
  return {
    ...omit(model, 'deletedAt'),
    files,
    sizeBytes: Number(model.sizeBytes),
    signature: model.signature as JsonObject,
    admission: model.admission as JsonObject | null,
    session: model.session as JsonObject,
    golden: model.golden as JsonObject | null,
    metadata: model.metadata as JsonObject,
  }
}

/** A job keeps samples a second and runs a second: a run has as many rows as their ratio. */
function toMeasuredRun({ latency, throughput, frames_per_second: frames }: JsonObject): MeasuredRun | undefined {
  const ms = (latency as { p50_ms?: unknown } | undefined)?.p50_ms
  const rows = Math.round(Number(frames) / Number(throughput))
  return typeof ms === 'number' && ms > 0 && rows >= 1 ? { rows, ms } : undefined
}
