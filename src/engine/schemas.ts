/**
 * Schemas and parsers of what a client writes: recipes, pass options, session options, gates. Nothing here loads the
 * IR, the codec or a runtime, so the API can import it.
 */
export { passSchemas, isPassName, type PassName, type PassSchema } from './passes/options/index.ts'
export { recipeSchema, type Recipe, type RecipeStep } from './recipes/schema.ts'
export { builtinRecipes, recipeNeeds, type BuiltinRecipeName } from './recipes/builtin.ts'
export { parseRecipe } from './recipes/parse.ts'
export { sessionOptionsSchema, type SessionOptions } from './runtime/options.ts'
export { parseGate, parseGates, type Gate } from './gates/parse.ts'
