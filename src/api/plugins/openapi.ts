import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import type { FastifyContextConfig, RouteOptions } from 'fastify'
import { fastifyPlugin } from 'fastify-plugin'
import { errorTable, type ErrorCode } from '../../errors.ts'
import { renderErrorPage } from '../error-table.ts'
import { commonErrors, describeRoute } from '../route.ts'
import { hoistSchemas } from './hoist-schemas.ts'
import { inferencePaths, inferenceSchemas } from './inference-paths.ts'

type Json = Record<string, unknown>
interface OpenApiDocument extends Json {
  paths: Record<string, Record<string, Json>>
  components: Record<string, Json>
}

const tags = [
  { name: 'models', description: 'Upload, inspect and download ONNX models' },
  { name: 'datasets', description: 'Samples for calibration, evaluation and training' },
  { name: 'recipes', description: 'What to do to a model, as data' },
  { name: 'jobs', description: 'Optimize a model, measure it against the original, report' },
  { name: 'deployments', description: 'Put a model or a job’s result behind a prediction endpoint' },
  { name: 'fleet', description: 'Workers and their queues' },
  { name: 'access', description: 'API keys' },
  { name: 'webhooks', description: 'Signed notifications' },
  { name: 'inference', description: 'Open Inference Protocol' },
  { name: 'service', description: 'Probes, metrics, contract' },
]

const idempotencyHeader = {
  name: 'Idempotency-Key',
  in: 'header',
  required: false,
  schema: { type: 'string', minLength: 1, maxLength: 255 },
  description: 'The same key and body give the first answer again, for 24 hours.',
}

/** The page needs itself only. No upgrade to https, which would break it behind plain http. */
const pagePolicy = [
  "default-src 'self'",
  "img-src 'self' data:",
  "style-src 'self' 'unsafe-inline'",
  "object-src 'none'",
  "base-uri 'self'",
  "frame-ancestors 'self'",
].join('; ')

/** `/openapi.json` (OpenAPI 3.1) made from the routes themselves, and `/docs`, a page that needs no other server. */
export const openapiPlugin = fastifyPlugin<{ version: string }>(
  async (app, { version }) => {
    const configs = new Map<string, FastifyContextConfig>()
    app.addHook('onRoute', (route) => {
      const id = operationIdOf(route)
      if (id !== undefined) configs.set(id, route.config ?? {})
    })
    await app.register(swagger, {
      convertConstToEnum: false,
      openapi: {
        openapi: '3.1.0',
        info: {
          title: 'Hasten',
          version,
          description: 'Makes ONNX models answer faster, proves it, and serves the result.',
        },
        tags,
        components: { securitySchemes: { key: { type: 'http', scheme: 'bearer', description: 'An API key, `hk_…`' } } },
      },
      transformObject: (input) => {
        if (!('openapiObject' in input)) return input.swaggerObject
        return completeDocument(input.openapiObject as OpenApiDocument, configs)
      },
    })
    await app.register(swaggerUi, {
      routePrefix: '/docs',
      staticCSP: true,
      transformStaticCSP: () => pagePolicy,
      // The bar on top would show another project's name and ask for addresses of other documents.
      theme: {
        title: 'Hasten API',
        css: [{ filename: 'hasten.css', content: '.swagger-ui .topbar { display: none }' }],
      },
      uiConfig: { deepLinking: true, docExpansion: 'list', validatorUrl: null },
    })
    const route = describeRoute({
      id: 'getOpenApi',
      tag: 'service',
      summary: 'This contract as OpenAPI 3.1',
      scope: null,
      schema: {},
      media: { 200: ['application/json'] },
    })
    app.get('/openapi.json', route, async () => app.swagger())
    const page = describeRoute({
      id: 'getErrorTable',
      tag: 'service',
      summary: 'Every error code as a page, where the `type` of a problem leads',
      scope: null,
      schema: {},
      media: { 200: ['text/html'] },
    })
    app.get('/docs/errors', page, async (_request, reply) =>
      reply.type('text/html; charset=utf-8').send(renderErrorPage()),
    )
  },
  { name: 'openapi', fastify: '5.x' },
)

function operationIdOf({ schema }: RouteOptions): string | undefined {
  return schema?.operationId
}

/** Adds what route schemas do not say: security, errors, streamed bodies, media types, and the paths of `/v2`. */
function completeDocument(document: OpenApiDocument, configs: Map<string, FastifyContextConfig>): OpenApiDocument {
  for (const operation of Object.values(document.paths).flatMap((item) => Object.values(item))) {
    const config = configs.get(String(operation['operationId']))
    if (config !== undefined) completeOperation(operation, config)
  }
  Object.assign(document.paths, inferencePaths(errorResponses))
  const { paths, schemas } = hoistSchemas(document.paths)
  return { ...document, paths, components: { ...document.components, schemas: { ...schemas, ...inferenceSchemas } } }
}

function completeOperation(operation: Json, config: FastifyContextConfig): void {
  const { scope = null, errors = [], documentedBody, media = {}, idempotent = false } = config
  if (scope !== null) {
    operation['security'] = [{ key: [] }]
    operation['description'] = `Scope: \`${scope}\`.`
  }
  if (documentedBody !== undefined) operation['requestBody'] = { required: true, content: documentedBody }
  if (idempotent) operation['parameters'] = [...listParameters(operation), idempotencyHeader]
  const answers = Object.fromEntries(Object.entries(media).map(([status, types]) => [status, mediaResponse(types)]))
  const own = scope === null ? (['internal', 'unavailable'] as const) : commonErrors
  operation['responses'] = {
    ...describeAnswers(operation['responses'] as Record<string, Json>),
    ...answers,
    ...errorResponses([...own, ...errors]),
  }
}

function listParameters({ parameters }: Json): unknown[] {
  return Array.isArray(parameters) ? parameters : []
}

const statusTexts: Readonly<Record<string, string>> = { 200: 'OK', 201: 'Created', 202: 'Accepted' }

/** @fastify/swagger writes "Default Response" everywhere, and one without content where a route has no schema for it. */
function describeAnswers(responses: Record<string, Json>): Json {
  const entries = Object.entries(responses).filter(([, { content }]) => content !== undefined)
  return Object.fromEntries(
    entries.map(([status, { content }]) => [status, { description: statusTexts[status] ?? 'OK', content }]),
  )
}

function mediaResponse(types: readonly string[]): Json {
  const content = types.map((type) => [type, { schema: type.includes('json') ? {} : { type: 'string' } }])
  return { description: 'The content', content: Object.fromEntries(content) }
}

/** One response per status, naming the codes that have it. */
function errorResponses(codes: readonly ErrorCode[]): Json {
  const byStatus = Map.groupBy(new Set(codes), (code) => errorTable[code].status)
  const responses = [...byStatus].map(([status, group]) => [String(status), errorResponse(group)])
  return Object.fromEntries(responses)
}

function errorResponse(codes: readonly ErrorCode[]): Json {
  return {
    description: codes.map((code) => `\`${code}\`: ${errorTable[code].title}`).join('; '),
    content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
    'x-error-codes': codes,
  }
}
