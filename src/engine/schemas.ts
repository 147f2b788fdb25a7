/**
 * Schemas and parsers of what a client writes: recipes, pass options, session options, gates; and advice, which only
 * reads facts. Nothing here loads the IR, the codec or a runtime, so the API can import it.
 */
export { explanationSchema, forecastSchema, sensitivitySchema, trialsSchema } from './passes/findings.ts'
export { trainingSchema, type TrainedStep } from './passes/training-findings.ts'
export { passSchemas } from './passes/options/index.ts'
export { recipeSchema, type Recipe } from './recipes/schema.ts'
export { builtinRecipes } from './recipes/builtin.ts'
export { missingData, recipeModels } from './recipes/needs.ts'
export { parseRecipe } from './recipes/parse.ts'
export { sessionOptionsSchema } from './runtime/options.ts'
export {
  advise,
  forecastKeys,
  forecastNothing,
  forecastTechniques,
  type AdviceHost,
  type KernelForecast,
} from './advice/index.ts'
export { hostDigest } from './oracle/host.ts'
export type { CascadePoint, CascadeTable } from './measure/cascade.ts'
export type { Layer } from './oracle/forecast-layers.ts'
export { parseGates } from './gates/parse.ts'
