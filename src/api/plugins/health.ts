import { Type } from 'typebox'
import { fastifyPlugin } from 'fastify-plugin'
import { HastenError } from '../../errors.ts'
import { closed } from '../schemas/common.ts'
import { describeRoute } from '../route.ts'

const healthSchema = Type.Object({ status: Type.Literal('ok') }, closed)

interface HealthOptions {
  /** Resolves when what the API needs answers; throws otherwise, whatever it likes. */
  readonly checkReady: () => Promise<void>
  /** Aborted some time before the server closes. */
  readonly stopping: AbortSignal | undefined
}

const probe = (id: string, summary: string) =>
  describeRoute({ id, tag: 'service', summary, scope: null, schema: { response: { 200: healthSchema } } })

/**
 * Kubernetes probes. `/livez` only says that the event loop turns; `/readyz` and `/startupz` ask the database. A server
 * that is about to stop is not ready, so that a load balancer turns away before the socket closes.
 */
export const healthPlugin = fastifyPlugin<HealthOptions>(
  async (app, { checkReady, stopping }) => {
    const answerReady = async () => {
      if (stopping?.aborted === true)
        throw new HastenError('unavailable', 'The server is shutting down.', { retryAfter: 5 })
      await checkReady().catch(refuseUnready)
      return { status: 'ok' as const }
    }
    app.get('/livez', probe('getLiveness', 'The process is alive'), async () => ({ status: 'ok' as const }))
    app.get('/readyz', probe('getReadiness', 'The service can take requests'), answerReady)
    app.get('/startupz', probe('getStartup', 'The service has started'), answerReady)
  },
  { name: 'health', fastify: '5.x' },
)

function refuseUnready(cause: unknown): never {
  throw new HastenError('unavailable', 'The database does not answer.', { cause, retryAfter: 5 })
}
