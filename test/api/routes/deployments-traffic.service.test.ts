import { beforeAll, describe, expect, it } from 'vitest'
import { sampleFacts, storeModel, useApi } from '../harness.ts'

const api = useApi()
let model: string
beforeAll(async () => {
  model = (await storeModel(api.storage)).id
})

const change = async (name: string, payload: object) =>
  api.call({ method: 'PATCH', url: `/v1/deployments/${name}`, payload })
const read = async (name: string) => (await api.call({ url: `/v1/deployments/${name}` })).body
const create = async (payload: object) => api.call({ method: 'POST', url: '/v1/deployments', payload })
const deploy = async (name: string, versions: number) => {
  await create({ name, model })
  for (let version = 2; version <= versions; version++) await change(name, { model, activate: false })
}

/** A model like the others, but for its signature. */
async function storeWith(over: object): Promise<string> {
  const { files } = (await api.storage.models.find('default', model))!
  const signature = { ...sampleFacts(64), ...over }
  return (await api.storage.models.create({ project: 'default', name: 'other', files, signature })).id
}

const canary = { version: 2, weight: 0.1, min_requests: 10, max_latency_ratio: 1.5, max_error_rate: 0.01 }

describe('traffic of a deployment', () => {
  it('is none at first, is set as a whole, and is cleared by null and by {}', async () => {
    await deploy('shared', 3)
    expect(await read('shared')).toMatchObject({ traffic: {}, traffic_state: { canary: null } })
    const split = [1, 2].map((version) => ({ version, weight: version }))
    const both = { split, shadow: { version: 3, share: 0.1, max_queue: 8 } }
    expect((await change('shared', { traffic: both })).body.traffic).toEqual(both)
    expect((await change('shared', { metadata: { a: 'b' } })).body.traffic).toEqual(both)
    expect((await change('shared', { traffic: { split } })).body.traffic).toEqual({ split })
    expect((await change('shared', { traffic: null })).body.traffic).toEqual({})
    await change('shared', { traffic: both })
    expect((await change('shared', { traffic: {} })).body.traffic).toEqual({})
  })

  it('may be given when the deployment is made, and with the version it names', async () => {
    const capture = { share: 0.5, max_samples: 10, inputs: ['x'] }
    expect((await create({ name: 'early', model, traffic: { capture } })).body.traffic).toEqual({ capture })
    const answer = await change('early', { model, activate: false, traffic: { shadow: { version: 2, share: 1 } } })
    expect(answer.body).toMatchObject({ active: 1, versions: [{}, {}], traffic: { shadow: { version: 2 } } })
    expect(
      (await create({ name: 'early-2', model, traffic: { shadow: { version: 1, share: 1 } } })).body,
    ).toMatchObject({
      status: 400,
      errors: [{ pointer: '/traffic/shadow/version' }],
    })
  })

  it('shows how far a canary is', async () => {
    await deploy('rising', 2)
    const { body } = await change('rising', { traffic: { canary: { ...canary, steps: [0.5] } } })
    expect(body.traffic_state.canary).toMatchObject({
      version: 2,
      decision: 'running',
      step: 0,
      weight: 0.1,
      steps: [],
    })
    const figures = { requests: 10, active_requests: 90, error_rate: null, p50_ratio: null, p99_ratio: null }
    const { started_at: startedAt } = body.traffic_state.canary as { started_at: string }
    await api.storage.deployments.decideCanary(
      'default',
      'rising',
      { version: 2, startedAt, step: 0 },
      { passed: false, reason: 'too slow', server: 'srv_1', figures: { ...figures, compared: 0, agreement: null } },
    )
    expect(await read('rising')).toMatchObject({
      active: 1,
      traffic: {},
      traffic_state: {
        canary: { decision: 'rolled_back', reason: 'too slow', steps: [{ outcome: 'rolled_back', figures }] },
      },
    })
  })

  const wrong: [object, string][] = [
    [{ shadow: { version: 7, share: 1 } }, '/traffic/shadow/version'],
    [{ shadow: { version: 2, share: 2 } }, '/traffic/shadow/share'],
    [{ canary: { ...canary, version: 1 } }, '/traffic/canary/version'],
    [{ mirror: {} }, '/traffic/mirror'],
    [{ canary, split: [{ version: 1, weight: 1 }] }, '/traffic/canary'],
    [{ cascade: { versions: [1, 2], output: 'z', threshold: 0.5 } }, '/traffic/cascade/output'],
    [{ capture: { share: 1, max_samples: 1, inputs: ['q'] } }, '/traffic/capture/inputs/0'],
    [{ capture: { share: 1, max_samples: 1, omit: ['x'] } }, '/traffic/capture'],
  ]
  it.each(wrong)('refuses %j and changes nothing', async (traffic, pointer) => {
    const name = 'strict'
    await deploy(name, 2)
    const before = await read(name)
    const { body } = await change(name, { model, activate: false, traffic })
    expect(body).toMatchObject({ status: 400, code: 'invalid_request' })
    expect(body.errors.map((item: { pointer: string }) => item.pointer)).toContain(pointer)
    expect(await read(name)).toEqual(before)
  })

  const others: [string, object, RegExp][] = [
    ['dtype', { inputs: [{ name: 'x', dtype: 'float64', dims: ['batch', 2, null] }] }, /inputs are x: float64\[/],
    ['dim', { outputs: [{ name: 'y', dtype: 'float32', dims: ['batch', 4] }] }, /outputs are y: float32\[\?, 4\], not/],
    [
      'fixed dim',
      { inputs: [{ name: 'x', dtype: 'float32', dims: [1, 2, null] }] },
      /inputs are .+, not x: float32\[\?/,
    ],
    ['name', { outputs: [{ name: 'z', dtype: 'float32', dims: ['batch', 3] }] }, /outputs are z/],
  ]
  it.each(others)('refuses a version of another %s', async (what, over, detail) => {
    const name = `other-${what.replace(' ', '-')}`
    await deploy(name, 1)
    const other = await storeWith(over)
    await change(name, { model: other, activate: false })
    const { body } = await change(name, { traffic: { shadow: { version: 2, share: 1 } } })
    expect(body).toMatchObject({ status: 400, errors: [{ pointer: '/traffic/shadow/version' }] })
    expect(body.errors[0].detail).toMatch(detail)
  })

  it('refuses scores that are no floats, and samples that no dataset can hold', async () => {
    const info = { name: 'y', dtype: 'int64', dims: ['batch'] }
    const odd = await storeWith({ inputs: [{ name: 'x', dtype: 'string', dims: ['batch'] }], outputs: [info] })
    await create({ name: 'odd', model: odd })
    await change('odd', { model: odd, activate: false })
    const cascade = { versions: [1, 2], output: 'y', threshold: 0.5 }
    const scores = await change('odd', { traffic: { cascade } })
    expect(scores.body.errors[0]).toEqual({
      pointer: '/traffic/cascade/output',
      detail: expect.stringContaining('int64'),
    })
    const capture = await change('odd', { traffic: { capture: { share: 1, max_samples: 1 } } })
    expect(capture.body.errors[0].detail).toMatch(/'x' is string/)
  })

  it('takes a version whose open dims have other names, and keeps the active one like those it names', async () => {
    await deploy('renamed', 1)
    const renamed = await storeWith({ outputs: [{ name: 'y', dtype: 'float32', dims: ['N', 3] }] })
    await change('renamed', { model: renamed, activate: false })
    const shadow = { version: 2, share: 1 }
    expect((await change('renamed', { traffic: { shadow } })).status).toBe(200)
    const other = await storeWith({ outputs: [{ name: 'y', dtype: 'float32', dims: ['N', 9] }] })
    const { body } = await change('renamed', { model: other })
    expect(body).toMatchObject({ status: 400, errors: [{ pointer: '/traffic/shadow/version' }] })
    expect(await read('renamed')).toMatchObject({ active: 1, versions: [{}, {}] })
  })
})
