import { createHash } from 'node:crypto'
import type { Database } from '../database.ts'
import type { Recipe } from '../generated/client.ts'
import { newId } from '../ids.ts'
import { toJson } from '../json.ts'
import { pageQuery, toPage } from '../paging.ts'
import type { JsonObject, Page, Paging } from '../rows.ts'

export interface RecipeRow {
  readonly id: string
  readonly project: string
  readonly name: string
  /** From 1, counted per name. */
  readonly version: number
  readonly body: JsonObject
  /** Of the canonical JSON of the body. */
  readonly sha256: string
  readonly createdAt: Date
}

export interface Recipes {
  /** Makes the next version of the name; the newest one as it is when its body is the same. */
  create(recipe: { project: string; name: string; body: object }): Promise<RecipeRow>
  find(project: string, id: string): Promise<RecipeRow | undefined>
  /** The newest version unless one is given. */
  findByName(project: string, name: string, version?: number): Promise<RecipeRow | undefined>
  list(project: string, filter: { name?: string | undefined }, paging: Paging): Promise<Page<RecipeRow>>
}

export function createRecipes({ prisma, transaction }: Database): Recipes {
  const optional = (row: Recipe | null) => (row === null ? undefined : toRecipeRow(row))
  return {
    create: ({ project, name, body }) =>
      transaction(async (tx) => {
        // One writer per name at a time, or two would take the same version.
        await tx.$queryRaw`SELECT 1 FROM (SELECT pg_advisory_xact_lock(hashtextextended(${`${project}/${name}`}, 0))) AS held`
        const newest = await tx.recipe.findFirst({ where: { project, name }, orderBy: { version: 'desc' } })
        const sha256 = hashJson(body)
        if (newest?.sha256 === sha256) return toRecipeRow(newest)
        const version = (newest?.version ?? 0) + 1
        const data = { id: newId('rcp'), project, name, version, body: toJson(body), sha256 }
        return toRecipeRow(await tx.recipe.create({ data }))
      }),
    find: async (project, id) => optional(await prisma.recipe.findFirst({ where: { project, id } })),
    async findByName(project, name, version) {
      const where = { project, name, ...(version === undefined ? {} : { version }) }
      return optional(await prisma.recipe.findFirst({ where, orderBy: { version: 'desc' } }))
    },
    async list(project, { name }, paging) {
      const { take, where, orderBy } = pageQuery('rcp', paging)
      const filter = name === undefined ? {} : { name }
      const found = await prisma.recipe.findMany({ where: { project, ...filter, ...where }, orderBy, take })
      return toPage(found.map(toRecipeRow), take)
    },
  }
}

/** sha256 of the JSON with sorted keys: the same whatever order they were written in. */
function hashJson(value: object): string {
  return createHash('sha256')
    .update(canonicalJson(JSON.parse(JSON.stringify(value))))
    .digest('hex')
}

function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))
  return `{${entries.map(([key, item]) => `${JSON.stringify(key)}:${canonicalJson(item)}`).join(',')}}`
}

function toRecipeRow(row: Recipe): RecipeRow {
  return { ...row, body: row.body as JsonObject }
}
