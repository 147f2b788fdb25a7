import { createHash } from 'node:crypto'
import type { FileRef, ModelRow } from '../../../storage/index.ts'
import { graphPageSize } from '../../../jobs/inspect/contract.ts'
import { HastenError } from '../../../errors.ts'
import { found, type ApiApp, type ApiContext } from '../../context.ts'
import { projectOf } from '../../plugins/auth.ts'
import { describeRoute } from '../../route.ts'
import { idParams } from '../../schemas/common.ts'
import { graphQuery, graphSchema, type GraphPage } from './graph-schema.ts'

const route = describeRoute({
  id: 'getModelGraph',
  tag: 'models',
  summary: 'Nodes and edges of a model with shapes, cost and traits of each',
  scope: 'models:read',
  errors: ['not_found', 'invalid_cursor', 'model_invalid', 'model_unsafe', 'model_out_of_memory', 'storage_full'],
  schema: { params: idParams('mdl'), querystring: graphQuery, response: { 200: graphSchema } },
})

export function addGraphRoute(app: ApiApp, context: ApiContext): void {
  app.get('/models/:id/graph', route, async (request) => {
    const { id } = request.params
    const model = found(await context.storage.models.find(projectOf(request), id), `model ${id}`)
    const description = await describeOnce(context, model)
    const page = pageAt(request.query.after, description)
    const { nodes, edges } = await readPage(context, description, page)
    const next = page + 1 < description.offsets.length - 1 ? String((page + 1) * graphPageSize) : null
    return {
      object: 'graph' as const,
      model: id,
      total: { nodes: description.nodes, edges: description.edges },
      nodes,
      edges,
      has_more: next !== null,
      next_cursor: next,
    }
  })
}

/** A description in the artifact store: where each page begins in it, and at last its length. */
interface Description {
  readonly sha256: string
  readonly nodes: number
  readonly edges: number
  readonly offsets: readonly number[]
}

/** Descriptions with another version are made anew. */
const version = 1

function keyOf(files: readonly FileRef[]): string {
  return `graph:${version}:${hashFiles(files)}`
}

/** One hash for a model of several files. */
export function hashFiles(files: readonly FileRef[]): string {
  const hash = createHash('sha256')
  for (const { name, sha256 } of files) hash.update(`${name}\n${sha256}\n`)
  return hash.digest('hex')
}

/** The description that was made before, else one made now in a capped child and kept for the next time. */
async function describeOnce({ storage, inspect, limits }: ApiContext, model: ModelRow): Promise<Description> {
  const { project, files } = model
  const key = keyOf(files)
  const known = await storage.stageCache.find(project, key)
  if (known !== undefined) return { ...(known.result as unknown as Omit<Description, 'sha256'>), sha256: known.sha256 }
  const { nodes, edges, pages } = await inspect.graph(files)
  const blob = await storage.artifacts.write(bytesOf(pages), { maxBytes: limits.uploadBytes })
  const result = { nodes, edges, offsets: offsetsOf(pages) }
  await storage.stageCache.put({ project, key, ...blob, result })
  return { ...result, sha256: blob.sha256 }
}

async function* bytesOf(pages: readonly string[]): AsyncGenerator<Uint8Array> {
  // A graph without nodes has a description too, and a blob has bytes.
  if (pages.length === 0) yield Buffer.from('{}')
  for (const page of pages) yield Buffer.from(page)
}

function offsetsOf(pages: readonly string[]): number[] {
  const offsets = [0]
  for (const page of pages) offsets.push((offsets.at(-1) ?? 0) + Buffer.byteLength(page))
  return offsets
}

function pageAt(after: string | undefined, { offsets }: Description): number {
  const page = Number(after ?? 0) / graphPageSize
  if (Number.isInteger(page) && page >= 0 && (page === 0 || page < offsets.length - 1)) return page
  throw new HastenError('invalid_cursor', `"${after}" is not the next_cursor of a page of this graph.`)
}

async function readPage({ storage }: ApiContext, { sha256, offsets }: Description, page: number): Promise<GraphPage> {
  const [start, end] = [offsets[page], offsets[page + 1]]
  if (start === undefined || end === undefined) return { nodes: [], edges: [] }
  const chunks: Uint8Array[] = []
  for await (const chunk of storage.artifacts.read(sha256, { start, end: end - 1 })) chunks.push(chunk)
  // Written by the inspection; the response schema checks it again.
  return JSON.parse(Buffer.concat(chunks).toString('utf8')) as GraphPage
}
