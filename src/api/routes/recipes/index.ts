import { Type } from 'typebox'
import { builtinRecipes, parseRecipe, recipeSchema, type Recipe } from '../../../engine/schemas.ts'
import { HastenError } from '../../../errors.ts'
import { isId } from '../../../storage/index.ts'
import { found, type ApiRoutes } from '../../context.ts'
import { createOnce } from '../../create-once.ts'
import { projectOf } from '../../plugins/auth.ts'
import { findBuiltin } from '../../recipes.ts'
import { describeRoute } from '../../route.ts'
import { closed, listOf, nameSchema, pageQuery, toPage } from '../../schemas/common.ts'
import { recipeBody, recipeParams, recipeResourceSchema, renderBuiltin, renderRecipe } from './schema.ts'

const create = describeRoute({
  id: 'createRecipe',
  tag: 'recipes',
  summary: 'Store a recipe, or the next version of it',
  scope: 'jobs:write',
  errors: ['recipe_invalid', 'invalid_name', 'body_too_large', 'unsupported_media_type'],
  idempotent: true,
  body: recipeBody,
  schema: { response: { 201: recipeResourceSchema } },
})
const list = describeRoute({
  id: 'listRecipes',
  tag: 'recipes',
  summary: 'Built-in recipes, then stored ones, newest first',
  scope: 'jobs:read',
  errors: ['invalid_cursor'],
  schema: {
    querystring: Type.Object({ ...pageQuery, name: Type.Optional(nameSchema) }, closed),
    response: { 200: listOf(recipeResourceSchema) },
  },
})
const schema = describeRoute({
  id: 'getRecipeSchema',
  tag: 'recipes',
  summary: 'The JSON Schema of recipes, for editors',
  scope: 'jobs:read',
  media: { 200: ['application/schema+json'] },
  schema: {},
})
const get = describeRoute({
  id: 'getRecipe',
  tag: 'recipes',
  summary: 'A recipe by id or name',
  scope: 'jobs:read',
  errors: ['not_found'],
  schema: {
    params: recipeParams,
    querystring: Type.Object({ version: Type.Optional(Type.Integer({ minimum: 1 })) }, closed),
    response: { 200: recipeResourceSchema },
  },
})

const recipeTypes = ['application/json', 'application/yaml', 'application/x-yaml', 'text/yaml', 'text/x-yaml']

export const recipeRoutes: ApiRoutes = async (app, { storage }) => {
  // Recipes are read as text, whatever their type: only so can an error name its line.
  app.removeContentTypeParser('application/json')
  app.addContentTypeParser(recipeTypes, { parseAs: 'string' }, (_request, body, done) => done(null, body))

  app.post('/recipes', create, async (request, reply) => {
    const body = parseRecipe(typeof request.body === 'string' ? request.body : '')
    const name = nameOf(body)
    return createOnce(request, reply, storage.idempotency, body, async () => {
      const row = await storage.recipes.create({ project: projectOf(request), name, body })
      return { status: 201, location: `/v1/recipes/${row.id}`, body: renderRecipe(row) }
    })
  })
  app.get('/recipes', list, async (request) => {
    const { limit = 20, after, name } = request.query
    const page = toPage(await storage.recipes.list(projectOf(request), { name }, { limit, after }), renderRecipe)
    return { ...page, data: [...(after === undefined ? listBuiltins(name) : []), ...page.data] }
  })
  app.get('/recipes/schema', schema, async (_request, reply) =>
    reply.type('application/schema+json').send(JSON.stringify(recipeSchema)),
  )
  app.get('/recipes/:id', get, async (request) => {
    const { id } = request.params
    const builtin = findBuiltin(id)
    if (builtin !== undefined) return renderBuiltin(id, builtin)
    const project = projectOf(request)
    const row = isId('rcp', id)
      ? await storage.recipes.find(project, id)
      : await storage.recipes.findByName(project, id, request.query.version)
    return renderRecipe(found(row, `recipe ${id}`))
  })
}

function listBuiltins(name: string | undefined) {
  const all = Object.entries(builtinRecipes).map(([key, recipe]) => renderBuiltin(key, recipe))
  return name === undefined ? all : all.filter((recipe) => recipe.name === name)
}

function nameOf(recipe: Recipe): string {
  const { name } = recipe
  if (name === undefined) {
    throw new HastenError('recipe_invalid', 'A stored recipe needs the key name.', {
      errors: [{ pointer: '/name', detail: 'is missing' }],
    })
  }
  if (findBuiltin(name) === undefined && name !== 'schema') return name
  throw new HastenError('invalid_name', `${name} is the name of a built-in recipe.`, {
    hint: 'Give the recipe another name.',
    errors: [{ pointer: '/name', detail: 'is taken' }],
  })
}
