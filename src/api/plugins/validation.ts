import type { FastifySchemaCompiler, FastifySchemaValidationError } from 'fastify'
import { fastifyPlugin } from 'fastify-plugin'
import { registerAjvFormats } from '@fastify/type-provider-typebox'
import type { TSchema } from 'typebox'
import { Compile } from 'typebox/compile'
import { Value } from 'typebox/value'
import type { ErrorItem } from '../../errors.ts'

const maxErrors = 20

/**
 * Compiles a route's schemas. Text that arrives in a path, query or header is converted to the type its schema wants; a
 * JSON body is taken as it is, so "5" is no number. Defaults are filled in everywhere.
 */
const compileValidator: FastifySchemaCompiler<TSchema> = ({ schema, httpPart }) => {
  const validator = Compile(schema)
  const fromText = httpPart !== 'body'
  return (input: unknown) => {
    const value: unknown = Value.Default(schema, fromText ? Value.Convert(schema, input) : readBody(schema, input))
    if (validator.Check(value)) return { value }
    return { error: validator.Errors(value) as FastifySchemaValidationError[] }
  }
}

/** Fastify says null for no body; a schema with a default takes that as its default. */
function readBody(schema: TSchema, input: unknown): unknown {
  return input === null && 'default' in schema ? structuredClone(schema.default) : input
}

/**
 * The fields that are wrong, deepest last, without the noise of a schema's inner nodes: an unknown key is named by its
 * own pointer, a union by what it allows.
 */
export function listSchemaErrors(
  errors: readonly FastifySchemaValidationError[],
  context: string | undefined,
): ErrorItem[] {
  const prefix = context === undefined || context === 'body' ? '' : `/${context}`
  const items = errors.flatMap((error) => describeSchemaError(error, prefix))
  const seen = new Set<string>()
  return items.filter(({ pointer, detail }) => addOnce(seen, `${pointer} ${detail}`)).slice(0, maxErrors)
}

function describeSchemaError(error: FastifySchemaValidationError, prefix: string): ErrorItem[] {
  const pointer = prefix + error.instancePath
  switch (error.keyword) {
    case 'additionalProperties':
      return []
    case 'boolean':
      return [{ pointer, detail: 'is not a known key' }]
    case 'required':
      return requiredOf(error).map((name) => ({ pointer: `${pointer}/${escapePointer(name)}`, detail: 'is missing' }))
    case 'enum':
      return [{ pointer, detail: `must be one of ${listAllowed(error)}` }]
    default:
      return [{ pointer, detail: error.message ?? 'is wrong' }]
  }
}

function requiredOf({ params }: FastifySchemaValidationError): string[] {
  const names = params['requiredProperties'] ?? params['missingProperty'] ?? []
  return [names].flat().map(String)
}

function listAllowed({ params }: FastifySchemaValidationError): string {
  return [params['allowedValues'] ?? []].flat().map(String).join(', ')
}

/** One name as a token of a JSON Pointer. */
function escapePointer(name: string): string {
  return name.replaceAll('~', '~0').replaceAll('/', '~1')
}

function addOnce(seen: Set<string>, key: string): boolean {
  if (seen.has(key)) return false
  seen.add(key)
  return true
}

export const validationPlugin = fastifyPlugin(
  async (app) => {
    registerAjvFormats()
    app.setValidatorCompiler(compileValidator)
  },
  { name: 'validation', fastify: '5.x' },
)
