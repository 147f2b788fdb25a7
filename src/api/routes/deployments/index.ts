import { setTimeout as sleep } from 'node:timers/promises'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { found, type ApiContext, type ApiRoutes } from '../../context.ts'
import { createOnce } from '../../create-once.ts'
import { projectOf } from '../../plugins/auth.ts'
import { describeRoute } from '../../route.ts'
import { deletedSchema, nameParams, toPage } from '../../schemas/common.ts'
import { readWait } from '../jobs/durations.ts'
import { changeDeployment, checkPolicy, resolveVersion } from './change.ts'
import { renderStats } from './stats.ts'
import { deploymentStatsSchema } from './stats-schema.ts'
import {
  deploymentChangeSchema,
  deploymentList,
  deploymentQuery,
  deploymentSchema,
  newDeploymentSchema,
  renderDeployment,
  type DeploymentResource,
} from './schema.ts'

const create = describeRoute({
  id: 'createDeployment',
  tag: 'deployments',
  summary: 'Put a model, or what a job made, behind `/v2/models/{name}`; `Prefer: wait=60` waits until it answers',
  scope: 'deployments:write',
  errors: ['conflict', 'not_found', 'job_not_finished', 'job_no_result'],
  idempotent: true,
  schema: { body: newDeploymentSchema, response: { 201: deploymentSchema } },
})
const list = describeRoute({
  id: 'listDeployments',
  tag: 'deployments',
  summary: 'Deployments, newest first',
  scope: 'models:read',
  errors: ['invalid_cursor'],
  schema: { querystring: deploymentQuery, response: { 200: deploymentList } },
})
const get = describeRoute({
  id: 'getDeployment',
  tag: 'deployments',
  summary: 'A deployment with its versions, the servers that have them, and how its canary goes',
  scope: 'models:read',
  errors: ['not_found'],
  schema: { params: nameParams, response: { 200: deploymentSchema } },
})
const stats = describeRoute({
  id: 'getDeploymentStats',
  tag: 'deployments',
  summary: 'What the servers of a deployment say of its versions: requests, latencies, errors, queues, batches',
  scope: 'models:read',
  errors: ['not_found'],
  schema: { params: nameParams, response: { 200: deploymentStatsSchema } },
})
const update = describeRoute({
  id: 'updateDeployment',
  tag: 'deployments',
  summary: 'Add a version, choose the active one, share the traffic among versions',
  scope: 'deployments:write',
  errors: ['not_found', 'job_not_finished', 'job_no_result'],
  schema: { params: nameParams, body: deploymentChangeSchema, response: { 200: deploymentSchema } },
})
const remove = describeRoute({
  id: 'deleteDeployment',
  tag: 'deployments',
  summary: 'Stop serving; running requests are answered',
  scope: 'deployments:write',
  errors: ['not_found'],
  schema: { params: nameParams, response: { 200: deletedSchema } },
})

export const deploymentRoutes: ApiRoutes = async (app, context) => {
  const { storage } = context
  app.post('/deployments', create, async (request, reply) => {
    const project = projectOf(request)
    const { name, metadata = {}, version_policy: policy = {}, traffic, ...source } = request.body
    const body = await createOnce(request, reply, storage.idempotency, request.body, async () => {
      checkPolicy(policy, new Set([1]))
      const version = await resolveVersion(storage, project, source)
      const row = await storage.deployments.create({
        project,
        name,
        policy,
        metadata,
        traffic: traffic ?? {},
        ...version,
      })
      return { status: 201, location: `/v1/deployments/${name}`, body: renderDeployment(row) }
    })
    return answerWhenReady(context, request, reply, body)
  })
  app.get('/deployments', list, async (request) => {
    const { limit = 20, after, state, model } = request.query
    const filter = { state, modelId: model }
    return toPage(await storage.deployments.list(projectOf(request), filter, { limit, after }), renderDeployment)
  })
  app.get('/deployments/:name', get, async (request) => {
    const { name } = request.params
    return renderDeployment(found(await storage.deployments.find(projectOf(request), name), `deployment ${name}`))
  })
  app.get('/deployments/:name/stats', stats, async (request) => {
    const { name } = request.params
    const row = found(await storage.deployments.find(projectOf(request), name), `deployment ${name}`)
    return renderStats(row, await storage.deployments.listFigures(row.id), Date.now())
  })
  app.patch('/deployments/:name', update, async (request, reply) => {
    const project = projectOf(request)
    const row = await changeDeployment(storage, project, request.params.name, request.body)
    return answerWhenReady(context, request, reply, renderDeployment(row))
  })
  app.delete('/deployments/:name', remove, async (request) => {
    const { name } = request.params
    found((await storage.deployments.remove(projectOf(request), name)) || undefined, `deployment ${name}`)
    return { id: name, object: 'deployment', deleted: true as const }
  })
}

const pollMs = 250

/** Waits until a server has loaded, warmed and probed the active version, or all that tried failed. */
async function answerWhenReady(
  { storage }: ApiContext,
  request: FastifyRequest,
  reply: FastifyReply,
  first: DeploymentResource,
): Promise<DeploymentResource> {
  const until = Date.now() + readWait(request.headers['prefer'])
  let current = first
  while (isSettling(current) && Date.now() < until && !reply.raw.destroyed) {
    await sleep(pollMs)
    const row = await storage.deployments.find(projectOf(request), first.name)
    if (row === undefined) return current
    current = renderDeployment(row)
  }
  return current
}

function isSettling({ state }: DeploymentResource): boolean {
  return state === 'pending' || state === 'loading'
}
