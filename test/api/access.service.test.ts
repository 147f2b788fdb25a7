import type { InjectOptions } from 'fastify'
import { beforeAll, describe, expect, it } from 'vitest'
import { describeApi } from '../../src/api/describe.ts'
import { scopes, type Scope } from '../../src/api/route.ts'
import { newId } from '../../src/storage/index.ts'
import {
  formOf,
  modelBytes,
  npyBytes,
  storeDataset,
  storeHost,
  storeJob,
  storeModel,
  useApi,
  type Harness,
} from './harness.ts'

const api = useApi()

interface Owned {
  readonly model: string
  readonly dataset: string
  readonly recipe: string
  readonly job: string
  readonly deployment: string
  readonly key: string
  readonly webhook: string
  readonly delivery: string
  readonly host: string
}

/** One of everything, in one project. */
async function createAll({ storage }: Harness, project: string): Promise<Owned> {
  const { id: model } = await storeModel(storage, { project })
  const { id: dataset } = await storeDataset(storage, project)
  const body = { version: 1, name: 'mine', steps: [{ pass: 'simplify', options: {} }] }
  const { id: recipe } = await storage.recipes.create({ project, name: 'mine', body })
  const { id: job } = await storeJob(storage, { project, modelId: model })
  const deployment = `of-${project}`
  await storage.deployments.create({ project, name: deployment, modelId: model })
  const { key } = await storage.keys.create({ project, name: 'k', scopes: ['predict'] })
  const { id: webhook } = await storage.webhooks.create({ project, url: 'https://example.com/', events: ['*'] })
  const delivery = await storage.webhooks.deliver(project, webhook, 'webhook.test', {})
  const { id: host } = await storeHost(storage, { id: newId('hst'), project })
  return { model, dataset, recipe, job, deployment, key: key.id, webhook, delivery: delivery?.id ?? '', host }
}

type Request = InjectOptions & { url: string }

/** A valid request for every /v1 operation, about one project's things. */
function requestsFor(o: Owned): Record<string, Request> {
  const upload = (value: Buffer, name: string) => formOf([{ name: 'file', value, filename: name }])
  return {
    createModel: { method: 'POST', url: '/v1/models', ...upload(modelBytes(), 'a.onnx') },
    putModelContent: {
      method: 'PUT',
      url: '/v1/models/raw/content',
      payload: modelBytes(),
      headers: { 'content-type': 'application/octet-stream' },
    },
    listModels: { url: '/v1/models' },
    getModel: { url: `/v1/models/${o.model}` },
    deleteModel: { method: 'DELETE', url: `/v1/models/${o.model}` },
    getModelContent: { url: `/v1/models/${o.model}/content` },
    getModelGraph: { url: `/v1/models/${o.model}/graph` },
    adviseModel: { method: 'POST', url: `/v1/models/${o.model}/advice`, payload: {} },
    createDataset: { method: 'POST', url: '/v1/datasets', ...upload(npyBytes, 'x.npy') },
    listDatasets: { url: '/v1/datasets' },
    getDataset: { url: `/v1/datasets/${o.dataset}` },
    deleteDataset: { method: 'DELETE', url: `/v1/datasets/${o.dataset}` },
    createRecipe: {
      method: 'POST',
      url: '/v1/recipes',
      payload: { version: 1, name: 'r', steps: [{ pass: 'simplify' }] },
    },
    listRecipes: { url: '/v1/recipes' },
    getRecipe: { url: `/v1/recipes/${o.recipe}` },
    getRecipeSchema: { url: '/v1/recipes/schema' },
    createJob: { method: 'POST', url: '/v1/jobs', payload: { model: o.model, recipe: 'lossless' } },
    listJobs: { url: '/v1/jobs' },
    getJob: { url: `/v1/jobs/${o.job}` },
    listJobEvents: { url: `/v1/jobs/${o.job}/events` },
    getReport: { url: `/v1/jobs/${o.job}/report` },
    getReportJSON: { url: `/v1/jobs/${o.job}/report.json` },
    getReportMD: { url: `/v1/jobs/${o.job}/report.md` },
    getReportHTML: { url: `/v1/jobs/${o.job}/report.html` },
    getJobArtifact: { url: `/v1/jobs/${o.job}/artifacts/trials` },
    cancelJob: { method: 'POST', url: `/v1/jobs/${o.job}/cancel` },
    retryJob: { method: 'POST', url: `/v1/jobs/${o.job}/retry` },
    compare: { url: `/v1/compare?jobs=${o.job}` },
    createDeployment: { method: 'POST', url: '/v1/deployments', payload: { name: 'another', model: o.model } },
    listDeployments: { url: '/v1/deployments' },
    getDeployment: { url: `/v1/deployments/${o.deployment}` },
    getDeploymentStats: { url: `/v1/deployments/${o.deployment}/stats` },
    updateDeployment: { method: 'PATCH', url: `/v1/deployments/${o.deployment}`, payload: { metadata: {} } },
    deleteDeployment: { method: 'DELETE', url: `/v1/deployments/${o.deployment}` },
    getCaptured: { url: `/v1/deployments/${o.deployment}/captured` },
    createCapturedDataset: { method: 'POST', url: `/v1/deployments/${o.deployment}/captured`, payload: {} },
    deleteCaptured: { method: 'DELETE', url: `/v1/deployments/${o.deployment}/captured` },
    chooseCascadeThreshold: {
      method: 'POST',
      url: `/v1/deployments/${o.deployment}/cascade/threshold`,
      payload: { dataset: o.dataset },
    },
    listHosts: { url: '/v1/hosts' },
    drainHost: { method: 'POST', url: `/v1/hosts/${o.host}/drain` },
    listQueues: { url: '/v1/queues' },
    createKey: { method: 'POST', url: '/v1/keys', payload: { name: 'k', scopes: ['predict'] } },
    listKeys: { url: '/v1/keys' },
    deleteKey: { method: 'DELETE', url: `/v1/keys/${o.key}` },
    createWebhook: { method: 'POST', url: '/v1/webhooks', payload: { url: 'https://example.com/' } },
    listWebhooks: { url: '/v1/webhooks' },
    getWebhook: { url: `/v1/webhooks/${o.webhook}` },
    updateWebhook: { method: 'PATCH', url: `/v1/webhooks/${o.webhook}`, payload: { enabled: false } },
    deleteWebhook: { method: 'DELETE', url: `/v1/webhooks/${o.webhook}` },
    listWebhookDeliveries: { url: `/v1/webhooks/${o.webhook}/deliveries` },
    testWebhook: { method: 'POST', url: `/v1/webhooks/${o.webhook}/test` },
    redeliverWebhook: { method: 'POST', url: `/v1/webhooks/${o.webhook}/deliveries/${o.delivery}/redeliver` },
  }
}

let owned: Owned
let requests: Record<string, Request>
let scopeOf: Map<string, Scope>

beforeAll(async () => {
  owned = await createAll(api, 'default')
  requests = requestsFor(owned)
  const { paths } = JSON.parse(await describeApi('0')) as {
    paths: Record<string, Record<string, { operationId: string; description?: string }>>
  }
  const operations = Object.entries(paths)
    .filter(([path]) => path.startsWith('/v1/'))
    .flatMap(([, item]) => Object.values(item))
  scopeOf = new Map(
    operations.map(({ operationId, description }) => [operationId, /`(.+)`/.exec(description ?? '')?.[1] as Scope]),
  )
})

const send = async (request: Request, headers: Record<string, string>) => {
  const response = await api.app.inject({ ...request, headers: { ...request.headers, ...headers } })
  return { status: response.statusCode, text: response.payload }
}

describe('keys', () => {
  it('are asked for by every /v1 operation, and the table of this test has them all', async () => {
    expect(Object.keys(requests).toSorted()).toEqual([...scopeOf.keys()].toSorted())
    for (const [id, request] of Object.entries(requests)) {
      const { status, text } = await send(request, {})
      expect(status, id).toBe(401)
      expect(JSON.parse(text), id).toMatchObject({ code: 'unauthorized' })
    }
  })

  it.each(['Bearer hk_unknownunknownunknownunknown', 'Basic aGs6aGs=', 'Bearer ', 'hk_x'])(
    'refuses %j',
    async (authorization) => {
      const response = await api.app.inject({ url: '/v1/models', headers: { authorization } })
      expect(response.statusCode).toBe(401)
      expect(response.headers['www-authenticate']).toContain('Bearer')
    },
  )

  it('stop working when they expire or are deleted', async () => {
    const expiring = await api.storage.keys.create({
      project: 'default',
      name: 'old',
      scopes: ['models:read'],
      expiresAt: new Date(Date.now() - 1000),
    })
    expect((await send({ url: '/v1/models' }, { authorization: `Bearer ${expiring.secret}` })).status).toBe(401)
    const { key, secret } = await api.storage.keys.create({ project: 'default', name: 'gone', scopes: ['models:read'] })
    expect((await send({ url: '/v1/models' }, { authorization: `Bearer ${secret}` })).status).toBe(200)
    expect((await api.call({ method: 'DELETE', url: `/v1/keys/${key.id}` })).body).toEqual({
      id: key.id,
      object: 'key',
      deleted: true,
    })
    expect((await send({ url: '/v1/models' }, { authorization: `Bearer ${secret}` })).status).toBe(401)
  })

  it('reach an operation only with its scope', async () => {
    const others = new Map<Scope, { authorization: string }>()
    for (const scope of scopes) {
      others.set(scope, await api.auth({ scopes: scopes.filter((other) => other !== scope && other !== 'admin') }))
    }
    for (const [id, request] of Object.entries(requests)) {
      const scope = scopeOf.get(id)!
      const { status, text } = await send(request, others.get(scope)!)
      expect(status, `${id} without ${scope}`).toBe(403)
      expect(JSON.parse(text)).toMatchObject({ code: 'forbidden', detail: expect.stringContaining(scope) })
    }
  })

  it('reach another project’s things as if they did not exist', async () => {
    const stranger = await api.auth({ project: 'other' })
    const before = await snapshot()
    for (const [id, request] of Object.entries(requests)) {
      const { status, text } = await send(request, stranger)
      const named = Object.values(owned).some(
        (value) => request.url.includes(value) || JSON.stringify(request.payload ?? '').includes(value),
      )
      if (named) expect(status, id).toBe(404)
      else expect(status, id).toBeLessThan(300)
      if (id.startsWith('list') && !named)
        for (const value of Object.values(owned)) expect(text, `${id} shows ${value}`).not.toContain(value)
    }
    expect(await snapshot()).toEqual(before)
  })

  it('reach an operation with its scope alone', async () => {
    // Last, for it uses everything up: deletions come after what needs the deleted.
    const order = Object.keys(requests).toSorted(
      (a, b) => Number(a.startsWith('delete')) - Number(b.startsWith('delete')),
    )
    for (const id of order) {
      const scope = scopeOf.get(id)!
      const { status, text } = await send(requests[id]!, await api.auth({ scopes: [scope] }))
      expect([401, 403], `${id} with ${scope}: ${text}`).not.toContain(status)
      expect(status, `${id}: ${text}`).toBeLessThan(500)
    }
  })
})

/** What another project must not be able to change. */
async function snapshot() {
  const { storage } = api
  const page = { limit: 100 }
  return Promise.all([
    storage.models.list('default', {}, page),
    storage.datasets.list('default', {}, page),
    storage.jobs.list('default', {}, page),
    storage.deployments.list('default', {}, page),
    storage.webhooks.list('default', page),
    storage.webhooks.listDeliveries('default', owned.webhook, page),
    storage.hosts.find('default', owned.host),
  ])
}
