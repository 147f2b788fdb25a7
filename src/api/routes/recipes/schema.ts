import { Type } from 'typebox'
import { recipeSchema, type Recipe } from '../../../engine/schemas.ts'
import type { RecipeRow } from '../../../storage/index.ts'
import { orderRecipe } from '../../recipes.ts'
import { closed, formatTime, idOf, nameSchema, nullable, openObject, timestamp } from '../../schemas/common.ts'

export const recipeResourceSchema = Type.Object(
  {
    id: nullable(idOf('rcp', 'Null for built-in recipes, which go by their name.')),
    object: Type.Literal('recipe'),
    builtin: Type.Boolean(),
    name: nameSchema,
    version: Type.Integer({ minimum: 1, description: 'Counted by name; a recipe that did not change keeps its own.' }),
    description: nullable(Type.String()),
    body: openObject('The recipe, as its schema describes it.'),
    sha256: nullable(Type.String()),
    created_at: nullable(timestamp),
  },
  closed,
)

export const recipeParams = Type.Object(
  { id: Type.Union([idOf('rcp'), nameSchema], { description: 'An id, or a name for its newest version.' }) },
  closed,
)

export const recipeBody = {
  'application/json': { schema: recipeSchema },
  'application/yaml': { schema: { type: 'string', description: 'The same as YAML.' } },
}

export function renderRecipe(row: RecipeRow) {
  return {
    id: row.id,
    object: 'recipe' as const,
    builtin: false,
    name: row.name,
    version: row.version,
    description: (row.body as Partial<Recipe>).description ?? null,
    body: orderRecipe(row.body),
    sha256: row.sha256,
    created_at: formatTime(row.createdAt),
  }
}

export function renderBuiltin(name: string, recipe: Recipe) {
  return {
    id: null,
    object: 'recipe' as const,
    builtin: true,
    name,
    version: 1,
    description: recipe.description ?? null,
    body: recipe,
    sha256: null,
    created_at: null,
  }
}
