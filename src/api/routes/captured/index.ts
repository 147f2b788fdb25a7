import { HastenError } from '../../../errors.ts'
import type { Storage } from '../../../storage/index.ts'
import { found, type ApiRoutes } from '../../context.ts'
import { createOnce } from '../../create-once.ts'
import { projectOf } from '../../plugins/auth.ts'
import { describeRoute } from '../../route.ts'
import { deletedSchema, nameParams } from '../../schemas/common.ts'
import { datasetSchema } from '../../schemas/model.ts'
import { renderDataset } from '../datasets/index.ts'
import { capturedSchema, newCapturedDataset, type CapturedResource } from './schema.ts'

const get = describeRoute({
  id: 'getCaptured',
  tag: 'deployments',
  summary: 'What a deployment has kept of its requests',
  scope: 'models:read',
  errors: ['not_found'],
  schema: { params: nameParams, response: { 200: capturedSchema } },
})
const create = describeRoute({
  id: 'createCapturedDataset',
  tag: 'deployments',
  summary: 'Make a dataset of the samples that were captured, for calibration or distillation',
  scope: 'models:write',
  errors: ['not_found', 'conflict', 'dataset_invalid', 'storage_full', 'model_out_of_memory', 'child_crashed'],
  idempotent: true,
  schema: { params: nameParams, body: newCapturedDataset, response: { 201: datasetSchema } },
})
const remove = describeRoute({
  id: 'deleteCaptured',
  tag: 'deployments',
  summary: 'Drop the samples that were captured; datasets made of them stay',
  scope: 'deployments:write',
  errors: ['not_found'],
  schema: { params: nameParams, response: { 200: deletedSchema } },
})

export const capturedRoutes: ApiRoutes = async (app, { storage, inspect }) => {
  app.get('/deployments/:name/captured', get, async (request) => {
    const { name } = request.params
    return describeCaptured(name, await formsOf(storage, projectOf(request), name))
  })
  app.post('/deployments/:name/captured', create, async (request, reply) => {
    const [project, { name }] = [projectOf(request), request.params]
    const { id } = found(await storage.deployments.find(project, name), `deployment ${name}`)
    const input = { name: request.body.name ?? name, metadata: request.body.metadata ?? {} }
    return createOnce(request, reply, storage.idempotency, request.body, async () => {
      if ((await storage.captured.forms(id)).length === 0) throw nothingCaptured(name)
      const { file, ...inspected } = await inspect.captured(id)
      const row = await storage.datasets.create({ project, ...input, files: [file], ...inspected })
      return { status: 201, location: `/v1/datasets/${row.id}`, body: renderDataset(row) }
    })
  })
  app.delete('/deployments/:name/captured', remove, async (request) => {
    const { name } = request.params
    const { id } = found(await storage.deployments.find(projectOf(request), name), `deployment ${name}`)
    await storage.captured.clear(id)
    return { id: name, object: 'captured_samples', deleted: true as const }
  })
}

async function formsOf({ deployments, captured }: Storage, project: string, name: string) {
  return captured.forms(found(await deployments.find(project, name), `deployment ${name}`).id)
}

function nothingCaptured(name: string): HastenError {
  return new HastenError('conflict', `${name} has captured no sample.`, {
    hint: 'Set `traffic.capture` of the deployment, and send it requests that name no version.',
  })
}

function describeCaptured(deployment: string, forms: Awaited<ReturnType<typeof formsOf>>): CapturedResource {
  const [first, ...others] = forms
  return {
    object: 'captured_samples',
    deployment,
    samples: first?.samples ?? 0,
    size_bytes: first?.bytes ?? 0,
    arrays: (first?.arrays ?? []).map(({ name, dtype, dims }) => ({ name, dtype, dims: [...dims] })),
    other_samples: others.reduce((sum, { samples }) => sum + samples, 0),
  }
}
