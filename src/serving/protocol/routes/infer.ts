import type { FastifyInstance, FastifyRequest } from 'fastify'
import { HastenError } from '../../../errors.ts'
import type { Routing } from '../../served-version.ts'
import type { RouteDeps } from '../app.ts'
import { freeBody, inflateBody, type ReceivedBody } from '../body.ts'
import { replyEncodingOf } from '../compression.ts'
import { answerInfer } from '../infer.ts'
import { modelParams, modelPaths, addPath, type Handler } from './route.ts'

const timeoutHeader = 'request-timeout-ms'
const routeKeyHeader = 'x-hasten-route-key'

/** POST …/infer. */
export async function inferRoutes(app: FastifyInstance, { catalog, limits, workers }: RouteDeps): Promise<void> {
  // Before the body is read: what will be refused anyway costs nothing.
  app.addHook('onRequest', (request, _reply, done) => {
    if (request.method !== 'POST') return done()
    const { name, version } = modelParams(request)
    try {
      const model = catalog.find(request.project, name, version, routingOf(request))
      const overload = model.lane.overload()
      if (overload !== undefined) model.statistics.recordFailure(overload, 0)
      done(overload)
    } catch (error) {
      done(error as Error)
    }
  })
  const infer: Handler = async (request, reply) => {
    const receivedAt = performance.now()
    const { bytes, headers } = request.body as ReceivedBody
    const timeoutMs = readTimeout(request.headers[timeoutHeader])
    const encoding = replyEncodingOf(request.headers['accept-encoding'])
    const body = await inflateBody(bytes, headers.encoding, limits.maxBodyBytes)
    const { name, version } = modelParams(request)
    // Found again: it may have been replaced while the body came.
    const find = () => catalog.find(request.project, name, version, routingOf(request))
    try {
      const input = { body, jsonLength: headers.jsonLength, timeoutMs, encoding, receivedAt, trace: request.trace }
      return await answerInfer(find, input, reply, { limits, workers })
    } finally {
      // The run has let go of it, and nothing of it is in the answer.
      freeBody(body)
    }
  }
  for (const url of modelPaths('/infer')) addPath(app, url, { POST: infer })
}

function routingOf({ headers }: FastifyRequest): Routing {
  const key = headers[routeKeyHeader]
  return typeof key === 'string' ? { key } : {}
}

function readTimeout(value: string | string[] | undefined): number | undefined {
  if (value === undefined) return undefined
  if (typeof value === 'string' && /^\d{1,9}$/.test(value)) return Number(value)
  throw new HastenError('invalid_request', 'Request-Timeout-Ms is not a whole number of milliseconds')
}
