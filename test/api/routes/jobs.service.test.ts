import { Client } from 'pg'
import { beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest'
import { newId } from '../../../src/storage/index.ts'
import { storeDataset, storeHost, storeJob, storeModel, useApi } from '../harness.ts'

const api = useApi()
let model: string

beforeAll(async () => {
  model = (await storeModel(api.storage)).id
})

const create = async (body: object, headers: Record<string, string> = {}) =>
  api.call({ method: 'POST', url: '/v1/jobs', payload: { model, recipe: 'lossless', ...body }, headers })

const finetune = { version: 1, steps: [{ pass: 'finetune' }] }
const taughtBy = (id: string) => ({
  version: 1,
  steps: [{ pass: 'distill', options: { teachers: ['original', id] } }],
})

describe('POST /v1/jobs', () => {
  it('stores the job with everything resolved, then announces it', async () => {
    const dataset = await storeDataset(api.storage)
    const answer = await create({
      recipe: 'int8-static',
      datasets: { calibration: dataset.id },
      target: { threads: 2 },
      gates: ['top1 >= baseline - 0.005', 'p50 <= 0.8 * baseline', 'size <= 10MB'],
      deadline: '30m',
      metadata: { git_sha: 'abc' },
    })
    expect(answer.status).toBe(202)
    expect(answer.headers['location']).toBe(`/v1/jobs/${answer.body.id}`)
    expect(answer.body).toMatchObject({
      object: 'job',
      state: 'queued',
      queue: 'cpu',
      model,
      recipe: {
        id: null,
        name: 'int8-static',
        version: 1,
        body: {
          version: 1,
          steps: [{ pass: 'simplify' }, { pass: 'quantize.static', options: { activations: 'auto' } }],
        },
      },
      datasets: { calibration: dataset.id },
      placement: { requested: { device: 'cpu', threads: 2, batch: 1, host: null, labels: {} }, actual: null },
      gates: ['top1 >= baseline - 0.005', 'p50 <= 0.8 * baseline', 'size <= 10MB'],
      metadata: { git_sha: 'abc' },
      verdict: null,
      result: null,
      error: null,
    })
    const lasts = new Date(answer.body.deadline_at).getTime() - new Date(answer.body.created_at).getTime()
    expect(Math.abs(lasts - 1_800_000)).toBeLessThan(5_000)
    expect(api.announced).toContain(answer.body.id)
    expect(await api.storage.jobs.find('default', answer.body.id)).toMatchObject({ state: 'queued', maxAttempts: 5 })
  })

  it('takes a recipe by name, by id, or inline', async () => {
    const body = { version: 1, name: 'stored', steps: [{ pass: 'fp16', options: {} }] }
    const stored = await api.storage.recipes.create({ project: 'default', name: 'stored', body })
    for (const recipe of ['stored', stored.id]) {
      expect((await create({ recipe })).body.recipe).toMatchObject({ id: stored.id, name: 'stored', version: 1 })
    }
    const inline = await create({ recipe: { version: 1, steps: [{ pass: 'simplify' }] } })
    expect(inline.body.recipe).toMatchObject({ id: null, name: 'inline', version: null })
  })

  it('names the line of a fault in an inline recipe, as POST /v1/recipes does', async () => {
    const steps = '[\n    { "pass": "fp16" },\n    { "pass": "magic" }]'
    const payload = `{\n  "model": "${model}",\n  "recipe": { "version": 1, "steps": ${steps} } }`
    const { body } = await api.call({
      method: 'POST',
      url: '/v1/jobs',
      payload,
      headers: { 'content-type': 'application/json' },
    })
    expect(body).toMatchObject({
      status: 422,
      code: 'recipe_invalid',
      detail: expect.stringMatching(/^line 5, \/recipe\/steps\/1\/pass: no pass is called 'magic'/),
      errors: [{ pointer: '/recipe/steps/1/pass', line: 5, column: 7 }],
    })
  })

  it.each([
    ['an unknown recipe', { recipe: 'nope' }, 404, 'not_found', '/recipe'],
    [
      'an unknown pass',
      { recipe: { version: 1, steps: [{ pass: 'magic' }] } },
      422,
      'recipe_invalid',
      '/recipe/steps/0/pass',
    ],
    [
      'an unknown recipe key',
      { recipe: { version: 1, steps: [{ pass: 'fp16', opts: {} }] } },
      422,
      'recipe_invalid',
      '/recipe/steps/0/opts',
    ],
    ['a bad gate', { gates: ['size <= 10MB', 'p50 <= fast'] }, 422, 'gate_invalid', '/gates/1'],
    ['missing calibration data', { recipe: 'int8-static' }, 422, 'dataset_needed', '/datasets/calibration'],
    ['missing training data', { recipe: finetune }, 422, 'dataset_needed', '/datasets/train'],
    ['nothing to distil on', { recipe: 'prune-finetune' }, 422, 'dataset_needed', '/datasets/train'],
    [
      'an unknown teacher',
      { recipe: taughtBy('mdl_00000000000000000000000000'), datasets: { train: 'dst_00000000000000000000000000' } },
      404,
      'not_found',
      '/recipe/steps/0/options/teachers/1',
    ],
    ['a bad deadline', { deadline: 'soon' }, 400, 'invalid_request', '/deadline'],
    ['a device no host has', { target: { device: 'cuda' } }, 422, 'device_unavailable', '/target/device'],
    ['a device that does not exist', { target: { device: 'tpu' } }, 400, 'invalid_request', '/target/device'],
    ['labels no host has', { target: { labels: { zone: 'mars' } } }, 422, 'device_unavailable', '/target/device'],
    [
      'an unknown host',
      { target: { host: 'hst_00000000000000000000000000' } },
      422,
      'device_unavailable',
      '/target/host',
    ],
    ['an unknown model', { model: 'mdl_00000000000000000000000000' }, 404, 'not_found', '/model'],
    [
      'an unknown dataset',
      { datasets: { eval: 'dst_00000000000000000000000000' } },
      404,
      'not_found',
      '/datasets/eval',
    ],
    ['an unknown webhook', { webhook: 'whk_00000000000000000000000000' }, 404, 'not_found', '/webhook'],
    ['a path as model', { model: '../../etc' }, 400, 'invalid_request', '/model'],
    ['nested metadata', { metadata: { a: { b: 1 } } }, 400, 'invalid_request', '/metadata/a'],
    ['an unknown key', { priority: 1 }, 400, 'invalid_request', '/priority'],
  ])('refuses %s', async (_what, body, status, code, pointer) => {
    const before = api.announced.length
    const answer = await create(body)
    expect(answer.body).toMatchObject({ status, code })
    expect(answer.body.errors.map((item: { pointer: string }) => item.pointer)).toContain(pointer)
    expect(api.announced).toHaveLength(before)
  })

  it('knows what training learns from: labels, or any samples', async () => {
    const plain = await storeDataset(api.storage)
    const labelled = await storeDataset(api.storage, 'default', 'labels')
    const refused = await create({ recipe: finetune, datasets: { train: plain.id } })
    expect(refused.body).toMatchObject({
      status: 422,
      code: 'dataset_needed',
      errors: [{ pointer: '/datasets/train', detail: 'a step learns from labels, and the train dataset has none' }],
    })
    expect(await create({ recipe: finetune, datasets: { train: labelled.id } })).toMatchObject({ status: 202 })
    for (const role of ['train', 'calibration']) {
      for (const recipe of ['prune-finetune', 'distill-small', 'qat-int8', taughtBy(model)]) {
        expect(await create({ recipe, datasets: { [role]: plain.id } })).toMatchObject({ status: 202 })
      }
    }
  })

  it('pins a job to the host it names, or to the least busy one with its labels', async () => {
    const busy = await storeHost(api.storage, { id: newId('hst'), labels: { zone: 'a' } })
    const free = await storeHost(api.storage, { id: newId('hst'), labels: { zone: 'a' } })
    await api.storage.hosts.heartbeat(busy.id, ['job_x'])
    expect((await create({ target: { host: busy.id } })).body.queue).toBe(`host-${busy.id}`)
    expect((await create({ target: { labels: { zone: 'a' } } })).body.queue).toBe(`host-${free.id}`)
    await api.storage.hosts.setDraining('default', free.id, true)
    expect((await create({ target: { labels: { zone: 'a' } } })).body.queue).toBe(`host-${busy.id}`)
  })

  it('accepts a job although the queue does not answer: the row is the job', async () => {
    api.setQueueFailure(new Error('redis is gone'))
    const answer = await create({})
    api.setQueueFailure(undefined)
    expect(answer.status).toBe(202)
    expect(await api.storage.jobs.findRow('default', answer.body.id)).toMatchObject({ state: 'queued' })
  })

  it('makes one job of fifty parallel requests with one key', async () => {
    const before = api.announced.length
    const headers = { 'idempotency-key': 'fifty' }
    const answers = await Promise.all(
      Array.from({ length: 50 }, async () => create({ metadata: { n: 'fifty' } }, headers)),
    )
    const ids = new Set(answers.filter(({ status }) => status === 202).map(({ body }) => body.id))
    expect(ids.size).toBe(1)
    for (const { status, body } of answers)
      if (status !== 202) expect(body).toMatchObject({ status: 409, code: 'idempotency_in_flight' })
    expect(api.announced).toHaveLength(before + 1)
    const { rows } = await api.storage.jobs.list('default', { metadata: { n: 'fifty' } }, { limit: 10 })
    expect(rows).toHaveLength(1)
  })

  it('compares bodies by meaning, frees the key of a refused request, and keeps keys of projects apart', async () => {
    const headers = { 'idempotency-key': 'meaning' }
    const payload = `{"recipe":"lossless","model":"${model}"}`
    const first = await create({}, headers)
    const second = await api.call({
      method: 'POST',
      url: '/v1/jobs',
      payload,
      headers: { ...headers, 'content-type': 'application/json' },
    })
    expect(second.body.id).toBe(first.body.id)
    expect((await create({ recipe: 'fp16' }, headers)).body).toMatchObject({ status: 422, code: 'idempotency_reused' })
    expect((await create({ recipe: 'int8-static' }, { 'idempotency-key': 'freed' })).status).toBe(422)
    expect((await create({}, { 'idempotency-key': 'freed' })).status).toBe(202)
    const other = await storeModel(api.storage, { project: 'other' })
    const stranger = await create({ model: other.id }, { ...headers, ...(await api.auth({ project: 'other' })) })
    expect(stranger.status).toBe(202)
    expect((await create({}, { 'idempotency-key': 'ü' })).body).toMatchObject({ status: 400 })
  })

  it('waits for the end with Prefer: wait, and no longer than asked', async () => {
    const waiting = create({ metadata: { n: 'waits' } }, { prefer: 'wait=30' })
    await expect
      .poll(
        async () => (await api.storage.jobs.list('default', { metadata: { n: 'waits' } }, { limit: 1 })).rows.length,
      )
      .toBe(1)
    const [job] = (await api.storage.jobs.list('default', { metadata: { n: 'waits' } }, { limit: 1 })).rows
    await api.storage.jobs.requestCancel('default', job!.id, 'test')
    const answer = await waiting
    expect(answer.status).toBe(200)
    expect(answer.body).toMatchObject({ id: job!.id, state: 'canceled' })
    const impatient = await create({}, { prefer: 'wait=1' })
    expect(impatient.status).toBe(202)
    expect(impatient.body).toMatchObject({ state: 'queued' })
  })
})

describe('GET /v1/jobs', () => {
  it('filters by state, model and metadata', async () => {
    const headers = await api.auth({ project: 'filters' })
    const { id: own } = await storeModel(api.storage, { project: 'filters' })
    const a = await create({ model: own, metadata: { sha: 'a', branch: 'main' } }, headers)
    const b = await create({ model: own, metadata: { sha: 'b', branch: 'main' } }, headers)
    await api.storage.jobs.requestCancel('filters', b.body.id, 'test')
    const ids = async (query: string) =>
      (await api.call({ url: `/v1/jobs?${query}`, headers })).body.data.map((job: { id: string }) => job.id)
    expect(await ids('')).toEqual([b.body.id, a.body.id])
    expect(await ids('state=queued')).toEqual([a.body.id])
    expect(await ids('state=queued,canceled')).toHaveLength(2)
    expect(await ids('metadata[sha]=a')).toEqual([a.body.id])
    expect(await ids('metadata[sha]=a&metadata[branch]=dev')).toEqual([])
    expect(await ids(`model=${own}&metadata[branch]=main`)).toHaveLength(2)
    expect((await api.call({ url: '/v1/jobs?state=done', headers })).body).toMatchObject({ status: 400 })
  })
})

describe('one job', () => {
  it('says where it stands in the queue, counted from one', async () => {
    const { id: own } = await storeModel(api.storage, { project: 'queue' })
    await storeJob(api.storage, { project: 'queue', modelId: own })
    const { id } = await storeJob(api.storage, { project: 'queue', modelId: own })
    const { body } = await api.call({ url: `/v1/jobs/${id}`, headers: await api.auth({ project: 'queue' }) })
    expect(body.queue_position).toBeGreaterThanOrEqual(2)
  })

  it('costs three statements at most, however much hangs on it', async () => {
    const { id } = await storeJob(api.storage, { modelId: model })
    const { fence } = (await api.storage.jobs.claim({ jobId: id, hostId: newId('hst'), leaseMs: 60_000 }))!
    for (const name of ['admit', 'simplify', 'measure']) {
      await api.storage.jobs.startStage(fence, name)
      await api.storage.jobs.endStage(fence, name, 'succeeded', [{ action: 'done', reason: 'long' }])
    }
    const candidate = { options: {}, measurement: { size_bytes: 1 }, quality: {} }
    await api.storage.jobs.addCandidate(fence, { ...candidate, name: 'original', role: 'baseline' })
    // Once a minute the use of the key is noted.
    await api.call({ url: `/v1/jobs/${id}` })
    const query = vi.spyOn(Client.prototype, 'query')
    onTestFinished(() => query.mockRestore())
    const { body } = await api.call({ url: `/v1/jobs/${id}` })
    expect(query.mock.calls.length).toBeLessThanOrEqual(3)
    expect(query).toHaveBeenCalled()
    expect(body.stages).toHaveLength(3)
    expect(body).toMatchObject({ attempts: [{ n: 1, state: 'running' }], candidates: [{ name: 'original' }] })
  })

  it('shows stages, progress and an estimate while it runs, and cancels in two steps', async () => {
    const { id } = await storeJob(api.storage)
    const { id: host } = await storeHost(api.storage, { id: newId('hst') })
    const claimed = await api.storage.jobs.claim({ jobId: id, hostId: host, leaseMs: 60_000 })
    const { fence } = claimed!
    await api.storage.jobs.startStage(fence, 'calibrate')
    await api.storage.jobs.setProgress(fence, { done: 10, total: 40, unit: 'samples' })
    await api.storage.jobs.addWarning(fence, { code: 'slow_host', hint: 'h' })
    const { body } = await api.call({ url: `/v1/jobs/${id}` })
    expect(body).toMatchObject({
      state: 'running',
      stage: 'calibrate',
      stages: [{ name: 'calibrate', attempt: 1, state: 'running', ended_at: null }],
      progress: { done: 10, total: 40, unit: 'samples' },
      attempts: [{ n: 1, state: 'running', host }],
      warnings: [{ code: 'slow_host', hint: 'h' }],
      queue_position: null,
    })
    expect(new Date(body.estimated_finish).getTime()).toBeGreaterThan(Date.now() - 60_000)
    const canceling = await api.call({
      method: 'POST',
      url: `/v1/jobs/${id}/cancel`,
      payload: { reason: 'changed my mind' },
    })
    expect(canceling.status).toBe(202)
    expect(canceling.body).toMatchObject({ state: 'canceling' })
    await api.storage.jobs.finishCanceled(fence, 'changed my mind')
    expect((await api.call({ method: 'POST', url: `/v1/jobs/${id}/cancel` })).body).toMatchObject({ state: 'canceled' })
  })

  it('is retried as a new job once it has ended', async () => {
    const { id } = await storeJob(api.storage)
    expect((await api.call({ method: 'POST', url: `/v1/jobs/${id}/retry` })).body).toMatchObject({
      status: 409,
      code: 'job_not_finished',
    })
    await api.call({ method: 'POST', url: `/v1/jobs/${id}/cancel` })
    const headers = { 'idempotency-key': 'retry-once' }
    const first = await api.call({ method: 'POST', url: `/v1/jobs/${id}/retry`, headers })
    expect(first.status).toBe(202)
    expect(first.body).toMatchObject({ state: 'queued', retry_of: id })
    expect((await api.call({ method: 'POST', url: `/v1/jobs/${id}/retry`, headers })).body.id).toBe(first.body.id)
    expect(api.announced).toContain(first.body.id)
  })
})
