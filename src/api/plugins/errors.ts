import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { fastifyPlugin } from 'fastify-plugin'
import { HastenError, isServerFault, toProblem, type ErrorCode } from '../../errors.ts'
import { listSchemaErrors } from './validation.ts'

/** Codes of Fastify and its plugins that are the client's doing, as rows of our table. */
const foreignCodes: Readonly<Record<string, ErrorCode>> = {
  FST_ERR_VALIDATION: 'invalid_request',
  FST_ERR_CTP_INVALID_JSON_BODY: 'invalid_request',
  FST_ERR_CTP_EMPTY_JSON_BODY: 'invalid_request',
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: 'upload_aborted',
  FST_ERR_CTP_BODY_TOO_LARGE: 'body_too_large',
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'unsupported_media_type',
  FST_INVALID_MULTIPART_CONTENT_TYPE: 'unsupported_media_type',
  FST_REQ_FILE_TOO_LARGE: 'body_too_large',
  FST_PARTS_LIMIT: 'invalid_request',
  FST_FILES_LIMIT: 'invalid_request',
  FST_FIELDS_LIMIT: 'invalid_request',
  FST_PROTO_VIOLATION: 'invalid_request',
  FST_INVALID_JSON_FIELD_ERROR: 'invalid_request',
  FST_MP_PREMATURE_CLOSE: 'upload_aborted',
  FST_ERR_BAD_URL: 'invalid_request',
  FST_ERR_MAX_PARAM_LENGTH: 'invalid_request',
  ERR_STREAM_PREMATURE_CLOSE: 'upload_aborted',
  ECONNRESET: 'upload_aborted',
}

/** Any thrown value as an error of the table. */
function toHastenError(error: unknown): HastenError {
  if (error instanceof HastenError) return error
  const foreign = error as Partial<FastifyError>
  const errors = foreign.validation === undefined ? [] : listSchemaErrors(foreign.validation, foreign.validationContext)
  const code = foreignCodes[foreign.code ?? ''] ?? codeOfStatus(foreign.statusCode)
  const detail = errors.length > 0 ? describeErrors(errors) : (foreign.message ?? String(error))
  return new HastenError(code, detail, { errors, cause: error })
}

/** Turns every error, also those of unknown paths and methods, into `application/problem+json`. */
export const errorsPlugin = fastifyPlugin(
  async (app) => {
    app.setErrorHandler((error, request, reply) => sendProblem(toHastenError(error), request, reply))
    const verbs = collectVerbs(app)
    app.setNotFoundHandler((request, reply) => {
      const path = pathOf(request)
      const allowed = verbs(path)
      if (allowed.length === 0) {
        throw new HastenError('not_found', `There is no ${path}.`, { hint: 'See /docs for the paths.' })
      }
      reply.header('allow', allowed.join(', '))
      throw new HastenError('method_not_allowed', `${path} takes ${allowed.join(', ')}, not ${request.method}.`)
    })
  },
  { name: 'errors', fastify: '5.x' },
)

/** Which verbs a path has: tells a wrong path from a wrong verb. */
function collectVerbs(app: FastifyInstance): (path: string) => string[] {
  const routes: { pattern: RegExp; methods: string[] }[] = []
  app.addHook('onRoute', ({ url, method }) => {
    const source = url
      .replaceAll(/[.+?^${}()|[\]\\]/g, '\\$&')
      .replaceAll(/:[a-zA-Z]+/g, '[^/]+')
      .replaceAll('*', '.*')
    routes.push({ pattern: new RegExp(`^${source}$`), methods: [method].flat() })
  })
  return (path) => [...new Set(routes.filter(({ pattern }) => pattern.test(path)).flatMap(({ methods }) => methods))]
}

function pathOf(request: FastifyRequest): string {
  return request.url.split('?', 1)[0] ?? ''
}

function sendProblem(error: HastenError, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  logProblem(error, request)
  if (error.retryAfter !== undefined) reply.header('retry-after', Math.ceil(error.retryAfter))
  if (error.code === 'unauthorized') reply.header('www-authenticate', 'Bearer realm="hasten"')
  const body = JSON.stringify(toProblem(error, request.id))
  return reply.code(error.status).header('cache-control', 'no-store').type('application/problem+json').send(body)
}

function logProblem(error: HastenError, request: FastifyRequest): void {
  const line = { err: error, code: error.code }
  if (isServerFault(error)) request.log.error(line, 'request failed')
  else request.log.info(line, 'request refused')
}

function codeOfStatus(status: number | undefined): ErrorCode {
  if (status === undefined || status < 400 || status >= 500) return 'internal'
  const code = {
    401: 'unauthorized',
    403: 'forbidden',
    404: 'not_found',
    405: 'method_not_allowed',
    413: 'body_too_large',
    415: 'unsupported_media_type',
    416: 'range_not_satisfiable',
    429: 'rate_limited',
  } as const
  return code[status as keyof typeof code] ?? 'invalid_request'
}

function describeErrors(errors: readonly { pointer: string; detail: string }[]): string {
  return errors.map(({ pointer, detail }) => `${pointer === '' ? 'The request' : pointer} ${detail}`).join('; ')
}
