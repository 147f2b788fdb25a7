import { advise, type AdviceHost } from '../../../engine/schemas.ts'
import type { HostRow } from '../../../storage/index.ts'
import { found, type ApiRoutes } from '../../context.ts'
import { projectOf } from '../../plugins/auth.ts'
import { describeRoute } from '../../route.ts'
import { idParams } from '../../schemas/common.ts'
import { hostLiveMs } from '../hosts/schema.ts'
import { adviceBody, adviceSchema } from './schema.ts'

const give = describeRoute({
  id: 'adviseModel',
  tag: 'models',
  summary: 'Which techniques suit a model here, why, and a recipe to start with',
  scope: 'models:read',
  errors: ['not_found'],
  schema: { params: idParams('mdl'), body: adviceBody, response: { 200: adviceSchema } },
})

export const adviceRoutes: ApiRoutes = async (app, { storage }) => {
  app.post('/models/:id/advice', give, async (request) => {
    const { id } = request.params
    const project = projectOf(request)
    const { device, goal, allowed_loss: allowedLoss, calibration: hasCalibration, batch } = request.body
    const model = found(await storage.models.find(project, id), `model ${id}`)
    const live = await storage.hosts.list(project, { liveWithinMs: hostLiveMs })
    const row = live.find(({ queues, draining }) => queues.includes(device) && !draining)
    const host = row && { id: row.id, ...readHost(row, device) }
    // Written by the inspection as ModelFacts.
    const facts = model.signature as unknown as Parameters<typeof advise>[0]
    const { suggestions, recipe } = advise(facts, host, { goal, allowedLoss, hasCalibration, batch })
    return {
      object: 'advice' as const,
      model: id,
      host: host === undefined ? null : { ...host, isa: [...host.isa] },
      suggestions: suggestions.map(toSuggestion),
      recipe,
    }
  })
}

function toSuggestion({ reasons, ...rest }: ReturnType<typeof advise>['suggestions'][number]) {
  return { ...rest, reasons: [...reasons] }
}

/** What a worker says of its CPU; one that says nothing has no features to count on. */
function readHost({ inventory }: HostRow, device: string): AdviceHost {
  const cpu = (inventory['cpu'] ?? {}) as { isa?: readonly string[]; cores?: number }
  return { device, isa: cpu.isa ?? [], cores: cpu.cores ?? 1 }
}
