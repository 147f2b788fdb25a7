import rateLimit from '@fastify/rate-limit'
import underPressure from '@fastify/under-pressure'
import { fastifyPlugin } from 'fastify-plugin'
import { HastenError } from '../../errors.ts'

interface LimitOptions {
  /** Requests a minute for one key, or for one address without a key; 0 for no limit. */
  readonly requestsPerMinute: number
  /** Delay of the event loop above which requests are turned away; 0 for no limit. */
  readonly maxEventLoopDelayMs: number
}

/**
 * Turns requests away before they cost anything: too many of one key, or more than the event loop can answer. Routes
 * without a scope (probes, metrics, documentation) are always answered. Needs `auth`, which says whose request it is.
 */
export const limitsPlugin = fastifyPlugin<LimitOptions>(
  async (app, { requestsPerMinute, maxEventLoopDelayMs }) => {
    await app.register(underPressure, {
      maxEventLoopDelay: maxEventLoopDelayMs,
      pressureHandler: (request) => {
        if (request.routeOptions.config.scope === null) return
        throw new HastenError('overloaded', 'The server is busy.', { retryAfter: 5 })
      },
    })
    if (requestsPerMinute === 0) return
    await app.register(rateLimit, {
      hook: 'preParsing',
      max: requestsPerMinute,
      timeWindow: 60_000,
      enableDraftSpec: true,
      keyGenerator: (request) => request.caller?.keyId ?? request.ip,
      allowList: (request) => request.routeOptions.config.scope === null,
      errorResponseBuilder: (_request, { max, ttl }) =>
        new HastenError('rate_limited', `More than ${max} requests a minute.`, { retryAfter: ttl / 1000 }),
    })
  },
  { name: 'limits', fastify: '5.x', dependencies: ['errors', 'auth'] },
)
