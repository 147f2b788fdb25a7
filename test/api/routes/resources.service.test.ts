import { beforeAll, describe, expect, it } from 'vitest'
import { builtinRecipes } from '../../../src/engine/schemas.ts'
import { newId } from '../../../src/storage/index.ts'
import { formOf, npyBytes, sha256, storeHost, storeJob, useApi } from '../harness.ts'

const api = useApi()

describe('datasets', () => {
  const upload = async (value: Buffer, filename: string, fields: Record<string, string> = {}) => {
    const parts = Object.entries(fields).map(([name, text]) => ({ name, value: text }))
    return api.call({ method: 'POST', url: '/v1/datasets', ...formOf([...parts, { name: 'file', value, filename }]) })
  }

  it('are stored with their arrays and sample count', async () => {
    const answer = await upload(npyBytes, 'Calibration set.npy', { label: 'y', metadata: '{"split":"test"}' })
    expect(answer.status).toBe(201)
    expect(answer.body).toMatchObject({
      object: 'dataset',
      name: 'calibration-set',
      sha256: sha256(npyBytes),
      samples: 4,
      arrays: [{ name: 'x', dtype: 'float32', dims: [4, 2] }],
      labels: 'y',
      metadata: { split: 'test' },
    })
    expect(answer.headers['location']).toBe(answer.body.links.self)
    expect((await api.call({ url: answer.body.links.self })).body).toEqual(answer.body)
    expect((await api.call({ url: '/v1/datasets?name=calibration-set' })).body.data).toEqual([answer.body])
    expect((await api.call({ method: 'DELETE', url: answer.body.links.self })).body).toMatchObject({ deleted: true })
    expect((await api.call({ url: answer.body.links.self })).status).toBe(404)
  })

  it.each([
    ['neither .npz nor .npy', Buffer.from('a,b\n1,2'), {}, 422, 'dataset_invalid'],
    ['truncated', npyBytes.subarray(0, 10), {}, 422, 'dataset_invalid'],
    ['with an unknown field', npyBytes, { colour: 'red' }, 400, 'invalid_request'],
  ])('are refused when %s', async (_what, bytes, fields, status, code) => {
    expect((await upload(bytes, 'x.npy', fields)).body).toMatchObject({ status, code })
  })
})

describe('recipes', () => {
  const yaml = async (text: string, type = 'application/yaml') =>
    api.call({ method: 'POST', url: '/v1/recipes', payload: text, headers: { 'content-type': type } })
  const text = 'version: 1\nname: cnn\nsteps:\n  - pass: simplify\n  - pass: quantize.dynamic\n'

  it('are stored from YAML or JSON, and counted by name', async () => {
    const first = await yaml(text)
    expect(first.status).toBe(201)
    expect(first.body).toMatchObject({
      object: 'recipe',
      builtin: false,
      name: 'cnn',
      version: 1,
      body: { steps: [{ pass: 'simplify' }, { pass: 'quantize.dynamic' }] },
    })
    expect((await yaml(text)).body).toMatchObject({ id: first.body.id, version: 1 })
    const second = await api.call({
      method: 'POST',
      url: '/v1/recipes',
      payload: { version: 1, name: 'cnn', steps: [{ pass: 'fp16' }] },
    })
    expect(second.body).toMatchObject({ name: 'cnn', version: 2 })
    expect((await api.call({ url: '/v1/recipes/cnn' })).body).toEqual(second.body)
    expect((await api.call({ url: '/v1/recipes/cnn?version=1' })).body).toEqual(first.body)
    const again = (await api.call({ url: `/v1/recipes/${first.body.id}` })).body
    expect(again).toEqual(first.body)
    expect(Object.keys(again.body)).toEqual(['version', 'name', 'steps'])
  })

  it('list the built-in ones on the first page', async () => {
    const { body } = await api.call({ url: '/v1/recipes' })
    const builtin = body.data.filter((recipe: { builtin: boolean }) => recipe.builtin)
    expect(builtin.map((recipe: { name: string }) => recipe.name)).toEqual(Object.keys(builtinRecipes))
    expect((await api.call({ url: '/v1/recipes/int8-static' })).body).toMatchObject({
      id: null,
      builtin: true,
      version: 1,
    })
    expect((await api.call({ url: '/v1/recipes/nope' })).status).toBe(404)
  })

  it('name the line, column and pointer of what is wrong', async () => {
    const wrong = await yaml(
      'version: 1\nname: a\nsteps:\n  - pass: quantize.dynamic\n    options:\n      wieghts: int8\n',
    )
    expect(wrong.body).toMatchObject({
      status: 422,
      code: 'recipe_invalid',
      errors: [{ pointer: '/steps/0/options/wieghts', line: 6, column: 7 }],
    })
    const syntax = await yaml('version: 1\nsteps: [')
    expect(syntax.body).toMatchObject({ code: 'recipe_invalid', errors: [{ line: 2 }] })
    const json = await yaml(
      '{\n  "version": 1,\n  "name": "a",\n  "steps": [{ "pass": "magic" }]\n}',
      'application/json',
    )
    expect(json.body).toMatchObject({ code: 'recipe_invalid', errors: [{ pointer: '/steps/0/pass', line: 4 }] })
  })

  it.each([
    ['without a name', 'version: 1\nsteps:\n  - pass: simplify\n', 422, 'recipe_invalid'],
    ['with a built-in name', 'version: 1\nname: fp16\nsteps:\n  - pass: simplify\n', 400, 'invalid_name'],
    [
      'with a billion laughs',
      `a: &a [x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b]\nd: [*c,*c,*c,*c,*c,*c,*c,*c]\n`,
      422,
      'recipe_invalid',
    ],
    ['with a tag', 'version: 1\nname: !!js/function "x"\nsteps: []\n', 422, 'recipe_invalid'],
    ['empty', '', 422, 'recipe_invalid'],
  ])('are refused %s', async (_what, body, status, code) => {
    expect((await yaml(body)).body).toMatchObject({ status, code })
  })

  it('have a JSON Schema for editors', async () => {
    const answer = await api.call({ url: '/v1/recipes/schema' })
    expect(answer.headers['content-type']).toContain('application/schema+json')
    expect(answer.body).toMatchObject({ type: 'object', additionalProperties: false, required: ['version', 'steps'] })
  })
})

describe('hosts and queues', () => {
  it('are shown with what they do, and drained', async () => {
    const { id } = await storeHost(api.storage, { id: newId('hst'), labels: { zone: 'a' } })
    await api.storage.hosts.heartbeat(id, ['job_1'])
    const { body } = await api.call({ url: '/v1/hosts' })
    expect(body.data).toMatchObject([
      {
        id,
        live: true,
        draining: false,
        queues: ['cpu'],
        slots: 1,
        current_jobs: ['job_1'],
        labels: { zone: 'a' },
        inventory: { cores: 2 },
      },
    ])
    const drain = async (payload?: object) =>
      api.call({ method: 'POST', url: `/v1/hosts/${id}/drain`, ...(payload === undefined ? {} : { payload }) })
    expect((await drain()).body).toMatchObject({ id, draining: true })
    expect((await drain({ draining: false })).body).toMatchObject({ draining: false })
    expect((await drain({ draining: 'yes' })).body).toMatchObject({ status: 400, errors: [{ pointer: '/draining' }] })
    expect((await api.call({ method: 'POST', url: '/v1/hosts/hst_00000000000000000000000000/drain' })).status).toBe(404)
  })

  it('say how much work waits', async () => {
    const { body } = await api.call({ url: '/v1/queues' })
    expect(body).toEqual({ object: 'list', data: [{ device_class: 'cpu', depth: 2, active: 1, oldest_wait_ms: 40 }] })
  })
})

describe('keys', () => {
  it('show their secret once, also when the answer is repeated', async () => {
    const headers = { 'idempotency-key': 'key-1' }
    const make = async () =>
      api.call({ method: 'POST', url: '/v1/keys', payload: { name: 'ci', scopes: ['jobs:read'] }, headers })
    const first = await make()
    expect(first.status).toBe(201)
    expect(first.body.secret).toMatch(/^hk_/)
    const again = await make()
    expect(again.body).toEqual({ ...first.body, secret: null })
    const list = await api.call({ url: '/v1/keys' })
    expect(list.body.data).toContainEqual(
      expect.objectContaining({ id: first.body.id, scopes: ['jobs:read'], expires_at: null }),
    )
    expect(list.text).not.toContain(first.body.secret)
    const used = await api.app.inject({ url: '/v1/jobs', headers: { authorization: `Bearer ${first.body.secret}` } })
    expect(used.statusCode).toBe(200)
  })

  it.each([
    [{ name: '', scopes: ['predict'] }, '/name'],
    [{ name: 'a', scopes: [] }, '/scopes'],
    [{ name: 'a', scopes: ['root'] }, '/scopes/0'],
    [{ name: 'a', scopes: ['predict'], expires_at: '2001-01-01T00:00:00Z' }, '/expires_at'],
    [{ name: 'a', scopes: ['predict'], expires_at: 'tomorrow' }, '/expires_at'],
  ])('refuse %j', async (payload, pointer) => {
    const { body } = await api.call({ method: 'POST', url: '/v1/keys', payload })
    expect(body).toMatchObject({ status: 400, code: 'invalid_request' })
    expect(body.errors.map((item: { pointer: string }) => item.pointer)).toContain(pointer)
  })
})

describe('webhooks', () => {
  let id: string

  beforeAll(async () => {
    const answer = await api.call({
      method: 'POST',
      url: '/v1/webhooks',
      payload: { url: 'https://example.com/hook', events: ['job.failed'] },
    })
    expect(answer.body).toMatchObject({
      object: 'webhook',
      events: ['job.failed'],
      enabled: true,
      secret: expect.stringMatching(/^whsec_/),
    })
    id = answer.body.id
  })

  it('are listed without their secret, changed and deleted', async () => {
    const list = await api.call({ url: '/v1/webhooks' })
    expect(list.body.data).toHaveLength(1)
    expect(list.text).not.toContain('whsec_')
    const changed = await api.call({
      method: 'PATCH',
      url: `/v1/webhooks/${id}`,
      payload: { enabled: false, events: ['*'] },
    })
    expect(changed.body).toMatchObject({ enabled: false, events: ['*'], url: 'https://example.com/hook' })
    await api.call({ method: 'PATCH', url: `/v1/webhooks/${id}`, payload: { enabled: true } })
    expect((await api.call({ url: `/v1/webhooks/${id}` })).body).toMatchObject({ enabled: true })
  })

  it('can be tested, and a delivery sent again as a new one', async () => {
    const test = await api.call({ method: 'POST', url: `/v1/webhooks/${id}/test` })
    expect(test.status).toBe(202)
    expect(test.body).toMatchObject({
      object: 'webhook_delivery',
      webhook: id,
      type: 'webhook.test',
      state: 'pending',
      tries: 0,
    })
    const again = await api.call({ method: 'POST', url: `/v1/webhooks/${id}/deliveries/${test.body.id}/redeliver` })
    expect(again.body).toMatchObject({ type: 'webhook.test', payload: test.body.payload })
    expect(again.body.id).not.toBe(test.body.id)
    const { body } = await api.call({ url: `/v1/webhooks/${id}/deliveries` })
    expect(body.data.map((delivery: { id: string }) => delivery.id)).toEqual([again.body.id, test.body.id])
  })

  it('hear of a job that names them, whatever they subscribed to', async () => {
    const { body: hook } = await api.call({
      method: 'POST',
      url: '/v1/webhooks',
      payload: { url: 'https://example.com/one', events: ['job.failed'] },
    })
    const { modelId } = await storeJob(api.storage)
    const { body: job } = await api.call({
      method: 'POST',
      url: '/v1/jobs',
      payload: { model: modelId, recipe: 'lossless', webhook: hook.id },
    })
    await api.call({ method: 'POST', url: `/v1/jobs/${job.id}/cancel` })
    const { body } = await api.call({ url: `/v1/webhooks/${hook.id}/deliveries` })
    expect(body.data).toMatchObject([{ type: 'job.canceled', payload: { data: { id: job.id } } }])
  })

  it.each([
    [{ url: 'ftp://example.com/' }, '/url'],
    [{ url: 'example.com' }, '/url'],
    [{ url: 'https://example.com/', events: ['job.exploded'] }, '/events/0'],
    [{}, '/url'],
  ])('refuse %j', async (payload, pointer) => {
    const { body } = await api.call({ method: 'POST', url: '/v1/webhooks', payload })
    expect(body).toMatchObject({ status: 400 })
    expect(body.errors.map((item: { pointer: string }) => item.pointer)).toContain(pointer)
  })

  it('refuse an empty change', async () => {
    expect((await api.call({ method: 'PATCH', url: `/v1/webhooks/${id}`, payload: {} })).body).toMatchObject({
      status: 400,
    })
  })
})
