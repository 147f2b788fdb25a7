import proxy from '@fastify/http-proxy'
import type { FastifyInstance } from 'fastify'
import { HastenError } from '../errors.ts'

/**
 * Forwards `/v2` to a `serve` process, so that one origin answers both planes. Bodies pass through unread; `serve` checks
 * the key itself.
 */
export async function gatewayPlugin(app: FastifyInstance, { upstream }: { upstream: string }): Promise<void> {
  // The proxy brings its own parsers, which read nothing.
  app.removeAllContentTypeParsers()
  await app.register(proxy, {
    upstream,
    prefix: '/v2',
    rewritePrefix: '/v2',
    httpMethods: ['GET', 'HEAD', 'POST', 'DELETE'],
    config: { scope: null },
    replyOptions: {
      rewriteRequestHeaders: (request, headers) => ({ ...headers, 'x-request-id': request.id }),
      onError: (reply, { error }) => {
        reply.log.warn({ err: error }, 'data plane does not answer')
        const cause = { cause: error, retryAfter: 1 }
        reply.send(new HastenError('unavailable', 'The data plane does not answer.', cause))
      },
    },
  })
}
