import type { FastifyInstance } from 'fastify'
import { HastenError } from '../../../errors.ts'
import type { RouteDeps } from '../app.ts'
import { addPath } from './route.ts'

/** Kubernetes probes and Prometheus metrics. A server about to stop is not ready, so that balancers turn away first. */
export async function probeRoutes(
  app: FastifyInstance,
  { catalog, metrics, scrape, stopping }: RouteDeps,
): Promise<void> {
  const ok = { status: 'ok' }
  const answerReady = () => {
    const reason = stopping?.aborted === true ? 'the server is shutting down' : catalog.unready()
    if (reason === undefined) return ok
    throw new HastenError('unavailable', reason, { retryAfter: 1 })
  }
  addPath(app, '/livez', { GET: async () => ok })
  addPath(app, '/readyz', { GET: async () => answerReady() })
  addPath(app, '/v2/health/live', { GET: async () => ({ live: true }) })
  addPath(app, '/v2/health/ready', { GET: async () => answerReady() && { ready: true } })
  addPath(app, '/startupz', {
    GET: async () => {
      if (catalog.started()) return ok
      throw new HastenError('unavailable', 'the deployments are being loaded', { retryAfter: 1 })
    },
  })
  addPath(app, '/metrics', {
    GET: async (_request, reply) =>
      reply.header('content-type', metrics.contentType).send(await (scrape ?? metrics.metrics.bind(metrics))()),
  })
}
