import type { FastifyInstance } from 'fastify'
import { HastenError } from '../../../errors.ts'
import type { VersionStatus } from '../../served-version.ts'
import type { RouteDeps } from '../app.ts'
import { inflateBody, type ReceivedBody } from '../body.ts'
import { parseJsonObject } from '../json.ts'
import { addPath, modelParams, type Handler } from './route.ts'

/** The model_repository extension, and shared memory, which is not offered. */
export async function repositoryRoutes(app: FastifyInstance, deps: RouteDeps): Promise<void> {
  const { catalog, limits, authorize } = deps
  addPath(app, '/v2/repository/index', {
    POST: async (request) => {
      const { bytes, headers } = request.body as ReceivedBody
      const body = await inflateBody(bytes, headers.encoding, limits.maxBodyBytes)
      const onlyReady = body.length > 0 && parseJsonObject(body, limits).ready === true
      const all = catalog.status(request.project)
      return (onlyReady ? all.filter(({ state }) => state === 'READY') : all).map(indexEntry)
    },
  })
  for (const verb of ['load', 'unload'] as const) {
    addPath(app, `/v2/repository/models/:name/${verb}`, {
      POST: async (request, reply) => {
        const { project } = await authorize(request.headers.authorization, 'deployments:write')
        const { bytes, headers } = request.body as ReceivedBody
        const body = await inflateBody(bytes, headers.encoding, limits.maxBodyBytes)
        const { parameters = {} } = body.length > 0 ? parseJsonObject(body, limits) : {}
        refuseOverrides(parameters)
        await catalog[verb](project, modelParams(request).name)
        return reply.send()
      },
    })
  }
  const refuseMemory: Handler = async () => {
    throw new HastenError('not_implemented', 'shared memory is not offered')
  }
  for (const kind of ['systemsharedmemory', 'cudasharedmemory']) {
    addPath(app, `/v2/${kind}/status`, { GET: refuseMemory })
    addPath(app, `/v2/${kind}/region/:region/status`, { GET: refuseMemory })
    addPath(app, `/v2/${kind}/region/:region/register`, { POST: refuseMemory })
    addPath(app, `/v2/${kind}/region/:region/unregister`, { POST: refuseMemory })
    addPath(app, `/v2/${kind}/unregister`, { POST: refuseMemory })
  }
}

/**
 * Triton takes a configuration and files along with a load; here they would be ignored without a word.
 * @throws HastenError `invalid_request`, `not_implemented`
 */
export function refuseOverrides(parameters: unknown): void {
  if (typeof parameters !== 'object' || parameters === null || Array.isArray(parameters)) {
    throw new HastenError('invalid_request', 'parameters is not an object')
  }
  const override = Object.keys(parameters).find((name) => name === 'config' || name.startsWith('file:'))
  if (override === undefined) return
  throw new HastenError('not_implemented', `a load takes no ${override}`, {
    hint: 'Deployments say what is loaded and how: POST or PATCH /v1/deployments.',
  })
}

/** One line of the repository index. */
export function indexEntry({ name, version, state, reason }: VersionStatus): object {
  return { name, version, state, reason }
}
