import type { FastifyInstance } from 'fastify'
import type { RouteDeps } from '../app.ts'
import { addPath } from './route.ts'

/** What is really offered; clients decide by this list which calls they make. */
export const extensions = [
  'binary_tensor_data',
  'classification',
  'model_configuration',
  'model_repository',
  'parameters',
  'statistics',
]

/** Server metadata, which needs no key. */
export async function openRoutes(app: FastifyInstance, { version }: RouteDeps): Promise<void> {
  addPath(app, '/v2', { GET: async () => ({ name: 'hasten', version, extensions }) })
}
