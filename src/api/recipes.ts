import { builtinRecipes, parseRecipe, type Recipe } from '../engine/schemas.ts'
import { HastenError } from '../errors.ts'
import { isId, type JsonObject, type Recipes } from '../storage/index.ts'

/** A recipe as a job keeps it: what runs, and where it came from. */
export interface ResolvedRecipe {
  /** Null for inline and built-in recipes. */
  readonly id: string | null
  readonly name: string
  /** Null for inline recipes. */
  readonly version: number | null
  readonly body: Recipe
}

export function findBuiltin(name: string): Recipe | undefined {
  return Object.hasOwn(builtinRecipes, name) ? (builtinRecipes as Record<string, Recipe>)[name] : undefined
}

/**
 * The recipe a job names, or gives itself. Built-in names come first and cannot be taken by a stored recipe.
 * @param text the request it came in, for the lines of its faults
 * @throws HastenError `recipe_invalid` with pointers below `/recipe`, and their lines; `not_found`
 */
export async function resolveRecipe(
  recipes: Recipes,
  project: string,
  given: string | object,
  text?: string,
): Promise<ResolvedRecipe> {
  if (typeof given !== 'string') {
    const body = parseRecipe(given, { text: text ?? '', pointer: '/recipe' })
    return { id: null, name: body.name ?? 'inline', version: null, body }
  }
  const builtin = findBuiltin(given)
  if (builtin !== undefined) return { id: null, name: given, version: 1, body: parseRecipe(builtin) }
  const row = await (isId('rcp', given) ? recipes.find(project, given) : recipes.findByName(project, given))
  if (row !== undefined) return { id: row.id, name: row.name, version: row.version, body: parseRecipe(row.body) }
  throw new HastenError('not_found', `There is no recipe ${given}.`, {
    hint: `GET /v1/recipes lists them; built in are ${Object.keys(builtinRecipes).join(', ')}.`,
    errors: [{ pointer: '/recipe', detail: 'names no recipe' }],
  })
}

/** A recipe with its keys in the order in which people write them: the database keeps none. */
export function orderRecipe(body: JsonObject): JsonObject {
  const { steps } = body
  const ordered = orderKeys(body, ['version', 'name', 'description', 'steps'])
  if (!Array.isArray(steps)) return ordered
  return { ...ordered, steps: (steps as JsonObject[]).map((step) => orderKeys(step, ['pass', 'options'])) }
}

function orderKeys(value: JsonObject, first: readonly string[]): JsonObject {
  const rank = (key: string) => (first.includes(key) ? first.indexOf(key) : first.length)
  return Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => rank(a) - rank(b)))
}
