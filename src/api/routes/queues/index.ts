import { Type } from 'typebox'
import type { ApiRoutes } from '../../context.ts'
import { describeRoute } from '../../route.ts'
import { closed, nullable } from '../../schemas/common.ts'

const queueSchema = Type.Object(
  {
    device_class: Type.String(),
    depth: Type.Integer({ description: 'Jobs that wait.' }),
    active: Type.Integer({ description: 'Jobs that run.' }),
    oldest_wait_ms: nullable(Type.Integer()),
  },
  closed,
)

const list = describeRoute({
  id: 'listQueues',
  tag: 'fleet',
  summary: 'How much work waits, by device class; for autoscalers too',
  scope: 'jobs:read',
  schema: {
    response: { 200: Type.Object({ object: Type.Literal('list'), data: Type.Array(queueSchema) }, closed) },
  },
})

export const queueRoutes: ApiRoutes = async (app, { queue }) => {
  app.get('/queues', list, async () => {
    const depths = await queue.depths()
    const data = depths.map(({ deviceClass, depth, active, oldestWaitMs }) => ({
      device_class: deviceClass,
      depth,
      active,
      oldest_wait_ms: oldestWaitMs,
    }))
    return { object: 'list' as const, data }
  })
}
