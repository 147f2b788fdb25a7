import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { HastenError, isServerFault, toProblem } from '../../errors.ts'

function toHastenError(error: unknown): HastenError {
  if (error instanceof HastenError) return error
  const { statusCode = 500, message } = error as Partial<FastifyError>
  const code = statusCode === 415 ? 'unsupported_media_type' : statusCode < 500 ? 'invalid_request' : 'internal'
  return new HastenError(code, message ?? String(error), { cause: error })
}

/** Answers every error, also unknown paths, as a problem document. */
export function installProblems(app: FastifyInstance): void {
  app.setErrorHandler((error, request, reply) => sendProblem(toHastenError(error), request, reply))
  app.setNotFoundHandler((request) => {
    throw new HastenError('not_found', `There is no ${request.url.split('?', 1)[0]}.`, { hint: 'See /docs.' })
  })
}

function sendProblem(error: HastenError, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  logProblem(error, request)
  request.problem = error
  if (error.retryAfter !== undefined) reply.header('retry-after', Math.ceil(error.retryAfter))
  if (error.code === 'unauthorized') reply.header('www-authenticate', 'Bearer realm="hasten"')
  // A body that was not read to its end would be taken for the next request.
  if (error.status === 413) reply.header('connection', 'close')
  const body = JSON.stringify(toProblem(error, request.id))
  return reply.code(error.status).header('content-type', 'application/problem+json').send(body)
}

/** What a client caused, or load did, is counted by the metrics; a line for each would drown the others. */
function logProblem(error: HastenError, { log }: FastifyRequest): void {
  const line = { err: error, code: error.code }
  if (isServerFault(error)) log.error(line, 'request failed')
  else log.debug(line, 'request refused')
}
