import { randomUUID } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { availableParallelism } from 'node:os'
import { fastify, LogController, type FastifyBaseLogger, type FastifyInstance, type FastifyRequest } from 'fastify'
import { isServerFault, type HastenError } from '../../errors.ts'
import type { Logger, Registry, RequestTrace, Tracing } from '../../telemetry.ts'
import type { Authorize, Caller } from '../authorize.ts'
import { defaultLimits, type ServingLimits } from '../limits.ts'
import { registerServingMetrics } from '../metrics.ts'
import type { Catalog } from '../served-version.ts'
import { emptyBody, readBody, readBodyHeaders, type ReceivedBody } from './body.ts'
import { createJsonWorkers, type JsonWorkers } from './json-workers.ts'
import { installProblems } from './problem.ts'
import { inferRoutes } from './routes/infer.ts'
import { modelRoutes } from './routes/models.ts'
import { openRoutes } from './routes/open.ts'
import { repositoryRoutes } from './routes/repository.ts'
import { probeRoutes } from './routes/probes.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** Set on every route that is not open. */
    project: string
    /** Set on the same routes where traces are collected. */
    trace: RequestTrace | undefined
    /** Of the problem that answers it. */
    problem: HastenError | undefined
  }
}

interface ServingDeps {
  readonly catalog: Catalog
  readonly authorize: Authorize
  readonly metrics: Registry
  /** Text of the metrics; of `metrics` alone when absent. */
  readonly scrape?: (() => Promise<string>) | undefined
  readonly logger: Logger
  /** Of this software, for GET /v2. */
  readonly version: string
  readonly limits?: Partial<ServingLimits>
  readonly tracing?: Tracing | undefined
  /** Aborted some time before the app is closed: readiness says so, and everything else still answers. */
  readonly stopping?: AbortSignal
}

/** What the routes get. */
export interface RouteDeps extends ServingDeps {
  readonly limits: ServingLimits
  readonly workers: JsonWorkers
}

/** A body may take this long to arrive. */
const requestTimeoutMs = 120_000
const maxNameLength = 128
const requestIdPattern = /^[\w.:-]{1,128}$/

/** The data plane: `/v2` of the Open Inference Protocol, probes and metrics. Not listening yet. */
export function buildServing(deps: ServingDeps): FastifyInstance {
  const limits = { ...defaultLimits, ...deps.limits }
  const workers = createJsonWorkers(availableParallelism())
  const routeDeps: RouteDeps = { ...deps, limits, workers }
  const logger: FastifyBaseLogger = deps.logger
  const app = fastify({
    loggerInstance: logger,
    // Two lines a request would cost more than routing it; errors are logged by the error handler.
    logController: new LogController({ disableRequestLogging: true }),
    requestTimeout: requestTimeoutMs,
    // The router's own limit of 100 is below the longest name.
    routerOptions: { maxParamLength: maxNameLength },
    forceCloseConnections: 'idle',
    genReqId: requestIdOf,
    exposeHeadRoutes: true,
  })
  app.addHook('onClose', async () => workers.close())
  acceptAnyBody(app, limits)
  installProblems(app)
  registerServingMetrics(deps.metrics, deps.catalog)
  if (deps.stopping !== undefined) sendAway(app, deps.stopping)
  app.register(probeRoutes, routeDeps)
  app.register(openRoutes, routeDeps)
  // Hung on the root of everything else, so that no route can be reached around it.
  app.decorateRequest('trace', undefined)
  app.decorateRequest('problem', undefined)
  app.register(async (scope) => {
    if (deps.tracing !== undefined) traceRequests(scope, deps.tracing)
    requireProject(scope, deps.authorize)
    scope.register(inferRoutes, routeDeps)
    scope.register(modelRoutes, routeDeps)
    scope.register(repositoryRoutes, routeDeps)
  })
  return app
}

function requestIdOf(raw: IncomingMessage): string {
  const given = raw.headers['x-request-id']
  return typeof given === 'string' && requestIdPattern.test(given) ? given : randomUUID()
}

/** Clients of this protocol send no Content-Type, or a wrong one: the body is read without asking. */
function acceptAnyBody(app: FastifyInstance, limits: ServingLimits): void {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', async (_request: FastifyRequest, payload: IncomingMessage): Promise<ReceivedBody> => {
    const headers = readBodyHeaders(payload.headers, limits.maxBodyBytes)
    return { headers, bytes: await readBody(payload, headers, limits.maxBodyBytes) }
  })
  app.addHook('preHandler', (request, _reply, done) => {
    request.body ??= emptyBody
    done()
  })
}

function requireProject(app: FastifyInstance, authorize: Authorize): void {
  app.decorateRequest('project', '')
  app.addHook('onRequest', (request, _reply, done) => {
    const admit = (caller: Caller) => {
      request.project = caller.project
      done()
    }
    try {
      const caller = authorize(request.headers.authorization)
      if (caller instanceof Promise) caller.then(admit, done)
      else admit(caller)
    } catch (error) {
      done(error as Error)
    }
  })
}

/** A span around each request, which its answer names. */
function traceRequests(app: FastifyInstance, tracing: Tracing): void {
  app.addHook('onRequest', (request, reply, done) => {
    const { method, routeOptions, headers } = request
    const route = routeOptions.url ?? ''
    const attributes = {
      'http.request.method': method,
      'http.route': route,
      'url.path': request.url.split('?', 1)[0] ?? '',
    }
    const { traceparent } = headers
    request.trace = tracing.start(
      `${method} ${route}`,
      typeof traceparent === 'string' ? traceparent : undefined,
      attributes,
    )
    reply.header('traceparent', request.trace.traceparent)
    done()
  })
  app.addHook('onResponse', (request, reply, done) => {
    const { problem } = request
    const isFault = problem !== undefined && isServerFault(problem)
    request.trace?.end({
      code: problem?.code,
      isFault,
      attributes: { 'http.response.status_code': reply.raw.statusCode },
    })
    done()
  })
}

/** A server that is about to stop asks each client for another connection, which a balancer gives to another server. */
function sendAway(app: FastifyInstance, stopping: AbortSignal): void {
  app.addHook('onRequest', (_request, reply, done) => {
    if (stopping.aborted) reply.raw.shouldKeepAlive = false
    done()
  })
}
