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
