import { advise } from '../../../engine/schemas.ts'
import { found, type ApiRoutes } from '../../context.ts'
import { projectOf } from '../../plugins/auth.ts'
import { describeRoute } from '../../route.ts'
import { idParams } from '../../schemas/common.ts'
import { hostLiveMs } from '../hosts/schema.ts'
import { forecast, readHost } from './forecast.ts'
import { adviceBody, adviceSchema } from './schema.ts'

const give = describeRoute({
  id: 'adviseModel',
  tag: 'models',
  summary: 'Which techniques suit a model here, why, and a recipe to start with',
  scope: 'models:read',
  errors: ['not_found'],
  schema: { params: idParams('mdl'), body: adviceBody, response: { 200: adviceSchema } },
})

export const adviceRoutes: ApiRoutes = async (app, context) => {
  const { storage } = context
  app.post('/models/:id/advice', give, async (request) => {
    const { id } = request.params
    const project = projectOf(request)
    const { device, goal, allowed_loss: allowedLoss, calibration: hasCalibration, train, batch, threads } = request.body
    const model = found(await storage.models.find(project, id), `model ${id}`)
    const live = await storage.hosts.list(project, { liveWithinMs: hostLiveMs })
    const able = live.filter(({ queues, draining }) => queues.includes(device) && !draining)
    const hosts = able.map((row) => readHost(row, device, threads))
    const { host, forecasts } = await forecast(context, model, hosts, batch)
    // Written by the inspection as ModelFacts.
    const facts = model.signature as unknown as Parameters<typeof advise>[0]
    const training = train === 'none' ? undefined : train
    const need = { goal, allowedLoss, hasCalibration, training, batch, threads }
    const { suggestions, recipe, target } = advise(facts, host, need, forecasts)
    return {
      object: 'advice' as const,
      model: id,
      host: host === undefined ? null : { id: host.id, device, isa: [...host.isa], cores: host.cores },
      suggestions: suggestions.map(toSuggestion),
      recipe,
      target,
    }
  })
}

function toSuggestion({ reasons, ...rest }: ReturnType<typeof advise>['suggestions'][number]) {
  return { ...rest, reasons: [...reasons] }
}
