import type { FastifyInstance } from 'fastify'
import { HastenError } from '../../../errors.ts'
import type { VersionStatus } from '../../served-version.ts'
import type { RouteDeps } from '../app.ts'
import { inflateBody, type ReceivedBody } from '../body.ts'
import { parseJsonObject } from '../json.ts'
import { addPath, type Handler } from './route.ts'

export const useDeployments = 'Deployments decide what is loaded: POST, PATCH or DELETE /v1/deployments.'

/** The model_repository extension as far as it makes sense here, and shared memory, which is not offered. */
export async function repositoryRoutes(app: FastifyInstance, { catalog, limits }: RouteDeps): Promise<void> {
  addPath(app, '/v2/repository/index', {
    POST: async (request) => {
      const { bytes, headers } = request.body as ReceivedBody
      const body = await inflateBody(bytes, headers.encoding, limits.maxBodyBytes)
      const onlyReady = body.length > 0 && parseJsonObject(body, limits).ready === true
      const all = catalog.status(request.project)
      return (onlyReady ? all.filter(({ state }) => state === 'READY') : all).map(indexEntry)
    },
  })
  const refuse: Handler = async () => {
    throw new HastenError('not_implemented', 'models are not loaded or unloaded here', { hint: useDeployments })
  }
  addPath(app, '/v2/repository/models/:name/load', { POST: refuse })
  addPath(app, '/v2/repository/models/:name/unload', { POST: refuse })
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

/** One line of the repository index. */
export function indexEntry({ name, version, state, reason }: VersionStatus): object {
  return { name, version, state, reason }
}
