import { Counter, Gauge, Histogram } from '@prometheus-io/client'
import { fastifyPlugin } from 'fastify-plugin'
import { describeRoute } from '../route.ts'
import type { Registry } from '../../telemetry.ts'

const durationBuckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60]

/** Request counts, durations and open requests by route pattern; `/metrics` in Prometheus' text format. */
export const metricsPlugin = fastifyPlugin<{ metrics: Registry }>(
  async (app, { metrics }) => {
    const registers = [metrics]
    const labelNames = ['method', 'route', 'status']
    const count = new Counter({ name: 'hasten_http_requests_total', help: 'Requests answered', labelNames, registers })
    const duration = new Histogram({
      name: 'hasten_http_request_duration_seconds',
      help: 'Time from the first byte of a request to the last of its answer',
      labelNames,
      buckets: durationBuckets,
      registers,
    })
    const open = new Gauge({ name: 'hasten_http_requests_open', help: 'Requests being answered', registers })

    app.addHook('onRequest', async (_request, reply) => {
      open.inc()
      reply.raw.once('close', () => open.dec())
    })
    app.addHook('onResponse', async (request, reply) => {
      const route = request.routeOptions.url ?? 'unknown'
      const labels = { method: request.method, route, status: String(reply.statusCode) }
      count.inc(labels)
      duration.observe(labels, reply.elapsedTime / 1000)
    })
    const route = describeRoute({
      id: 'getMetrics',
      tag: 'service',
      summary: 'Metrics in Prometheus text format',
      scope: null,
      schema: {},
      media: { 200: ['text/plain'] },
    })
    app.get('/metrics', route, async (_request, reply) => reply.type(metrics.contentType).send(await metrics.metrics()))
  },
  { name: 'metrics', fastify: '5.x' },
)
