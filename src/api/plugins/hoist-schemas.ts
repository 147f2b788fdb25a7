import { recipeSchema, sessionOptionsSchema } from '../../engine/schemas.ts'
import { keySchema } from '../routes/keys/schema.ts'
import { deploymentSchema } from '../routes/deployments/schema.ts'
import { hostSchema } from '../routes/hosts/schema.ts'
import { recipeResourceSchema } from '../routes/recipes/schema.ts'
import { deliverySchema, webhookSchema } from '../routes/webhooks/schema.ts'
import { embeddedErrorSchema, errorCodeSchema, metadataSchema, problemSchema } from '../schemas/common.ts'
import { eventSchema, jobSchema, targetSchema } from '../schemas/job.ts'
import { datasetSchema, modelSchema, signatureSchema, tensorInfoSchema } from '../schemas/model.ts'

/** Schemas that clients generate types from, and that occur in many places. */
const namedSchemas: Readonly<Record<string, object>> = {
  Dataset: datasetSchema,
  Delivery: deliverySchema,
  Deployment: deploymentSchema,
  Error: embeddedErrorSchema,
  ErrorCode: errorCodeSchema,
  Event: eventSchema,
  Host: hostSchema,
  Job: jobSchema,
  Key: keySchema,
  Metadata: metadataSchema,
  Model: modelSchema,
  Problem: problemSchema,
  Recipe: recipeResourceSchema,
  RecipeBody: recipeSchema,
  SessionOptions: sessionOptionsSchema,
  Signature: signatureSchema,
  Target: targetSchema,
  TensorInfo: tensorInfoSchema,
  Webhook: webhookSchema,
}

/** Equal for equal schemas, also after @fastify/swagger has turned patternProperties into additionalProperties. */
function schemaKey(schema: object): string {
  return JSON.stringify(schema, (_key, value: unknown) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
    const { patternProperties, ...rest } = value as { patternProperties?: object }
    const others = patternProperties === undefined ? undefined : Object.values(patternProperties)[0]
    const entries = Object.entries(others === undefined ? rest : { ...rest, additionalProperties: others as unknown })
    return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)))
  })
}

/**
 * Moves every occurrence of a named schema to `components`. Routes use the schemas as values, which keeps their types;
 * the document gets names that generated clients can use, and is a fraction of the size.
 */
export function hoistSchemas<T extends object>(paths: T): { paths: T; schemas: Record<string, unknown> } {
  const names = new Map(Object.entries(namedSchemas).map(([name, schema]) => [schemaKey(schema), name]))
  const hoist = (value: unknown): unknown => {
    if (typeof value !== 'object' || value === null) return value
    const name = names.get(schemaKey(value))
    return name === undefined ? hoistParts(value) : { $ref: `#/components/schemas/${name}` }
  }
  const hoistParts = (value: object): unknown => {
    if (Array.isArray(value)) return value.map((item) => hoist(item))
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, hoist(item)]))
  }
  const schemas = Object.fromEntries(Object.entries(namedSchemas).map(([name, schema]) => [name, hoistParts(schema)]))
  return { paths: hoist(paths) as T, schemas }
}
