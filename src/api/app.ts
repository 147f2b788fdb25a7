import { fastifySSE } from '@fastify/sse'
import multipart from '@fastify/multipart'
import Fastify, { type FastifyBaseLogger, type FastifyInstance } from 'fastify'
import { newRequestId } from './request-id.ts'
import type { ApiDeps } from './deps.ts'
import { gatewayPlugin } from './gateway.ts'
import { createJobWatch } from './job-watch.ts'
import { authPlugin } from './plugins/auth.ts'
import { bodyPlugin } from './plugins/body.ts'
import { errorsPlugin } from './plugins/errors.ts'
import { healthPlugin } from './plugins/health.ts'
import { limitsPlugin } from './plugins/limits.ts'
import { metricsPlugin } from './plugins/metrics.ts'
import { openapiPlugin } from './plugins/openapi.ts'
import { validationPlugin } from './plugins/validation.ts'
import { adviceRoutes } from './routes/advice/index.ts'
import { capturedRoutes } from './routes/captured/index.ts'
import { cascadeRoutes } from './routes/cascade/index.ts'
import { compareRoutes } from './routes/compare/index.ts'
import { datasetRoutes } from './routes/datasets/index.ts'
import { deploymentRoutes } from './routes/deployments/index.ts'
import { hostRoutes } from './routes/hosts/index.ts'
import { jobRoutes } from './routes/jobs/index.ts'
import { keyRoutes } from './routes/keys/index.ts'
import { modelRoutes } from './routes/models/index.ts'
import { queueRoutes } from './routes/queues/index.ts'
import { recipeRoutes } from './routes/recipes/index.ts'
import { webhookRoutes } from './routes/webhooks/index.ts'

const mebibyte = 2 ** 20

/**
 * The control plane as an app that does not listen yet. Order matters: what every request passes comes first, the
 * routes last.
 */
export function buildApi(deps: ApiDeps): FastifyInstance {
  const { storage, limits, logger, metrics, version } = deps
  // The plain interface, or pino's type would run through every signature.
  const loggerInstance: FastifyBaseLogger = logger
  const app: FastifyInstance = Fastify({
    loggerInstance,
    genReqId: newRequestId,
    bodyLimit: limits.bodyBytes ?? mebibyte,
    routerOptions: { maxParamLength: 200 },
    forceCloseConnections: 'idle',
  })
  app.addHook('onSend', async (request, reply) => {
    reply.header('x-request-id', request.id).header('x-content-type-options', 'nosniff')
  })
  app.register(errorsPlugin)
  app.register(validationPlugin)
  app.register(bodyPlugin)
  app.register(openapiPlugin, { version })
  app.register(metricsPlugin, { metrics })
  app.register(authPlugin, { mode: deps.auth, keys: storage.keys })
  app.register(limitsPlugin, {
    requestsPerMinute: limits.requestsPerMinute ?? 0,
    maxEventLoopDelayMs: limits.maxEventLoopDelayMs ?? 2000,
  })
  app.register(healthPlugin, { checkReady: async () => storage.ping(), stopping: deps.stopping })
  app.register(async (scope) => registerControlPlane(scope, deps), { prefix: '/v1' })
  if (deps.serveUrl !== undefined) app.register(gatewayPlugin, { upstream: deps.serveUrl })
  return app
}

/** Everything under `/v1`: in a scope of its own, since its body parsers must not read what goes to `/v2`. */
function registerControlPlane(app: FastifyInstance, deps: ApiDeps): void {
  const watch = createJobWatch(deps.storage)
  app.addHook('preClose', async () => watch.close())
  app.register(multipart)
  app.register(fastifySSE, { heartbeatInterval: 15_000 })
  const resources = { ...deps, watch }
  const routes = [
    modelRoutes,
    adviceRoutes,
    datasetRoutes,
    recipeRoutes,
    jobRoutes,
    compareRoutes,
    deploymentRoutes,
    capturedRoutes,
    cascadeRoutes,
    hostRoutes,
    queueRoutes,
    keyRoutes,
    webhookRoutes,
  ]
  for (const plugin of routes) app.register(plugin, resources)
}
