import { beforeAll, describe, expect, it } from 'vitest'
import { newId } from '../../../src/storage/index.ts'
import { sampleFacts, storeHost, storeJob, storeModel, useApi } from '../harness.ts'

const api = useApi()
let model: string

beforeAll(async () => {
  model = (await storeModel(api.storage)).id
})

const create = async (payload: object, headers: Record<string, string> = {}) =>
  api.call({ method: 'POST', url: '/v1/deployments', payload, headers })
const change = async (name: string, payload: object) =>
  api.call({ method: 'PATCH', url: `/v1/deployments/${name}`, payload })

/** What a serve process says. */
async function report(name: string, state: 'ready' | 'failed', version = 1) {
  const row = await api.storage.deployments.find('default', name)
  const error = state === 'failed' ? { code: 'model_load_failed' as const, detail: 'no', hint: 'h', errors: [] } : null
  await api.storage.deployments.reportReplica({
    deploymentId: row!.id,
    version,
    serverId: 'srv_1',
    state,
    error,
    url: 'http://127.0.0.1:1',
  })
}

describe('POST /v1/deployments', () => {
  it('makes version 1 of a model, pending until a server has it', async () => {
    const options = { session: { intraOpThreads: 2 }, max_queue: 10, batching: { max_batch: 8, buckets: [1, 8] } }
    const answer = await create({ name: 'digits', model, options, metadata: { team: 'ocr' } })
    expect(answer.status).toBe(201)
    expect(answer.headers['location']).toBe('/v1/deployments/digits')
    expect(answer.body).toMatchObject({
      object: 'deployment',
      name: 'digits',
      state: 'pending',
      active: 1,
      versions: [{ version: 1, model, job: null, options, replicas: [] }],
      metadata: { team: 'ocr' },
      links: { infer: '/v2/models/digits/infer' },
    })
    await report('digits', 'ready')
    const ready = await api.call({ url: '/v1/deployments/digits' })
    expect(ready.body).toMatchObject({
      state: 'ready',
      versions: [{ replicas: [{ server: 'srv_1', state: 'ready', error: null }] }],
    })
    expect(ready.text).not.toContain('127.0.0.1')
  })

  it('waits until a server has probed it, or all that tried failed', async () => {
    const waiting = create({ name: 'waits', model }, { prefer: 'wait=20' })
    await expect.poll(async () => api.storage.deployments.find('default', 'waits')).toBeDefined()
    await report('waits', 'ready')
    expect((await waiting).body).toMatchObject({ state: 'ready' })
    const failing = create({ name: 'fails', model }, { prefer: 'wait=20' })
    await expect.poll(async () => api.storage.deployments.find('default', 'fails')).toBeDefined()
    await report('fails', 'failed')
    expect((await failing).body).toMatchObject({ state: 'failed', error: { code: 'model_load_failed' } })
  })

  it('takes what a job made, once there is something', async () => {
    const { id } = await storeJob(api.storage, { modelId: model })
    expect((await create({ name: 'of-job', job: id })).body).toMatchObject({ status: 409, code: 'job_not_finished' })
    const { id: hostId } = await storeHost(api.storage, { id: newId('hst') })
    const { fence } = (await api.storage.jobs.claim({ jobId: id, hostId, leaseMs: 60_000 }))!
    const { files } = (await api.storage.models.find('default', model))!
    const row = await api.storage.jobs.succeed(fence, {
      verdict: { passed: true },
      resultModel: { name: 'small', files, signature: sampleFacts(1) },
    })
    const made = await create({ name: 'of-job', job: id })
    expect(made.body.versions).toMatchObject([{ model: row?.resultModelId, job: id }])
    const { id: other } = await storeJob(api.storage, { modelId: model })
    await api.storage.jobs.requestCancel('default', other, 'test')
    expect((await create({ name: 'none', job: other })).body).toMatchObject({ status: 409, code: 'job_no_result' })
  })

  it.each([
    ['neither model nor job', {}, 400, 'invalid_request'],
    ['both', { model: 'MODEL', job: 'job_00000000000000000000000000' }, 400, 'invalid_request'],
    ['an unknown model', { model: 'mdl_00000000000000000000000000' }, 404, 'not_found'],
    ['an unknown job', { job: 'job_00000000000000000000000000' }, 404, 'not_found'],
    ['a bad name', { model: 'MODEL', name: 'A/b' }, 400, 'invalid_request'],
    ['a batch of one', { model: 'MODEL', options: { batching: { max_batch: 1 } } }, 400, 'invalid_request'],
    [
      'an option the runtime may not have',
      { model: 'MODEL', options: { session: { optimizedModelFilePath: '/etc/x' } } },
      400,
      'invalid_request',
    ],
  ])('refuses %s', async (_what, body, status, code) => {
    const payload = JSON.parse(JSON.stringify({ name: 'refused', ...body }).replace('MODEL', model)) as object
    expect((await create(payload)).body).toMatchObject({ status, code })
    expect(await api.storage.deployments.find('default', 'refused')).toBeUndefined()
  })

  it('refuses a name that is taken', async () => {
    await create({ name: 'taken', model })
    expect((await create({ name: 'taken', model })).body).toMatchObject({ status: 409, code: 'conflict' })
  })
})

describe('PATCH /v1/deployments/{name}', () => {
  it('adds versions and chooses the active one', async () => {
    await create({ name: 'grows', model })
    const { id: better } = await storeModel(api.storage)
    expect((await change('grows', { model: better })).body).toMatchObject({
      active: 2,
      versions: [{ version: 1 }, { version: 2, model: better }],
    })
    expect((await change('grows', { model, activate: false })).body).toMatchObject({
      active: 2,
      versions: [{}, {}, { version: 3 }],
    })
    expect((await change('grows', { active: 1 })).body).toMatchObject({ active: 1 })
    expect((await change('grows', { metadata: { a: 'b' } })).body).toMatchObject({ active: 1, metadata: { a: 'b' } })
    expect((await change('grows', { model: better, active: 4 })).body).toMatchObject({ active: 4 })
  })

  it('says which versions stay loaded, and that none is to be', async () => {
    expect((await create({ name: 'kept', model, version_policy: { latest: 2 } })).body).toMatchObject({
      loaded: true,
      version_policy: { latest: 2 },
    })
    const answer = await change('kept', { version_policy: { specific: [1, 2] }, model })
    expect(answer.body).toMatchObject({ version_policy: { specific: [1, 2] } })
    expect((await change('kept', { loaded: false })).body).toMatchObject({ loaded: false, state: 'unloaded' })
    expect((await change('kept', { loaded: true })).body).toMatchObject({ loaded: true, state: 'pending' })
    expect((await change('kept', { version_policy: {} })).body).toMatchObject({ version_policy: {} })
  })

  it.each([
    [{ active: 9 }, '/active'],
    [{ version_policy: { specific: [9] } }, '/version_policy/specific/0'],
    [{ traffic: { split: { 1: 100 } } }, '/traffic/split'],
    [{ traffic: { split: [{ version: 9, weight: 1 }] } }, '/traffic/split/0/version'],
    [{ traffic: { shadow: { version: 1, share: 1 } } }, '/traffic/shadow/version'],
    [{ options: {} }, '/model'],
    [{}, ''],
  ])('refuses %j and changes nothing', async (payload, pointer) => {
    await create({ name: 'fixed', model })
    const before = await api.storage.deployments.find('default', 'fixed')
    const { body } = await change('fixed', payload)
    expect(body).toMatchObject({ status: 400, code: 'invalid_request' })
    expect(body.errors.map((item: { pointer: string }) => item.pointer)).toContain(pointer)
    expect(await api.storage.deployments.find('default', 'fixed')).toEqual(before)
  })

  it('answers 404 for a deployment that is not there', async () => {
    expect((await change('nothing-here', { active: 1 })).status).toBe(404)
  })
})

describe('lists and deletion', () => {
  it('filters by state and model', async () => {
    const { id: own } = await storeModel(api.storage)
    await create({ name: 'listed', model: own })
    expect((await api.call({ url: `/v1/deployments?model=${own}` })).body.data).toMatchObject([{ name: 'listed' }])
    expect((await api.call({ url: `/v1/deployments?model=${own}&state=ready` })).body.data).toEqual([])
    expect((await api.call({ url: '/v1/deployments?state=sleeping' })).body).toMatchObject({ status: 400 })
  })

  it('frees the name', async () => {
    await create({ name: 'gone', model })
    expect((await api.call({ method: 'DELETE', url: '/v1/deployments/gone' })).body).toEqual({
      id: 'gone',
      object: 'deployment',
      deleted: true,
    })
    expect((await api.call({ url: '/v1/deployments/gone' })).status).toBe(404)
    expect((await create({ name: 'gone', model })).status).toBe(201)
  })
})
