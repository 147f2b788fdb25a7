import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createOrtRuntime } from '../../src/engine/runtime/ort/index.ts'
import { createKeyAuthorizer, createOpenAuthorizer } from '../../src/serving/authorize.ts'
import { limitRate } from '../../src/serving/rate-limit.ts'
import { buildModel } from '../support/models.ts'
import { catalogOf, listen, loadModel, type TestModel } from './support.ts'

const key = (name: string) => `Bearer hk_${name.repeat(20)}`
const findKey = async () => ({ project: 'default', scopes: ['predict'], expiresAt: null })

/** A clock that stands still until it is moved. */
function createClock() {
  let ms = 0
  return { now: () => ms, pass: (by: number) => void (ms += by) }
}

describe('a rate limit', () => {
  test('lets a key make a second of requests at once, and then one as often as the rate says', () => {
    const clock = createClock()
    const authorize = limitRate(createOpenAuthorizer(), 4, clock.now)
    for (let time = 0; time < 4; time++) expect(authorize('a')).toEqual({ project: 'default' })
    expect(() => authorize('a')).toThrow(expect.objectContaining({ code: 'rate_limited', retryAfter: 1 }))
    clock.pass(250)
    void authorize('a')
    expect(() => authorize('a')).toThrow('More than 4 requests a second')
    clock.pass(60_000)
    for (let time = 0; time < 4; time++) void authorize('a')
    expect(() => authorize('a')).toThrow('More than 4')
  })

  test('counts each key for itself', () => {
    const authorize = limitRate(createOpenAuthorizer(), 1, createClock().now)
    void authorize('a')
    void authorize('b')
    expect(() => authorize('a')).toThrow('More than 1')
  })

  test('of 0 is none', () => {
    const authorize = createOpenAuthorizer()
    expect(limitRate(authorize, 0)).toBe(authorize)
  })

  test('asks for the scope that the route asks for', async () => {
    const authorize = limitRate(createKeyAuthorizer({ findKey }), 5)
    await expect(authorize(key('a'), 'deployments:write')).rejects.toMatchObject({ code: 'forbidden' })
  })

  test('counts keys that have to be looked up', async () => {
    const authorize = limitRate(createKeyAuthorizer({ findKey, ttlMs: 0 }), 1, createClock().now)
    await authorize(key('a'))
    await expect(authorize(key('a'))).rejects.toMatchObject({ code: 'rate_limited' })
  })
})

describe('over HTTP', () => {
  const runtime = createOrtRuntime()
  let model: TestModel
  beforeAll(async () => {
    const bytes = buildModel({
      inputs: { x: ['float32', [1]] },
      outputs: { y: ['float32', [1]] },
      nodes: [['Identity', ['x'], ['y']]],
    })
    model = await loadModel(runtime, 'same', bytes)
  })
  afterAll(async () => {
    await model.session.release()
    await runtime.close()
  })

  test('is answered 429 with Retry-After; probes and other keys are not held up', async () => {
    const authorize = limitRate(createKeyAuthorizer({ findKey }), 2, createClock().now)
    const { app, url } = await listen(catalogOf([model]), { authorize })
    const ask = async (name: string) => {
      const body = JSON.stringify({ inputs: [{ name: 'x', shape: [1], datatype: 'FP32', data: [1] }] })
      return fetch(`${url}/v2/models/same/infer`, { method: 'POST', body, headers: { authorization: key(name) } })
    }
    expect([(await ask('a')).status, (await ask('a')).status]).toEqual([200, 200])
    const refused = await ask('a')
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, '1'])
    expect(await refused.json()).toMatchObject({ code: 'rate_limited', status: 429 })
    expect((await ask('b')).status).toBe(200)
    expect((await fetch(`${url}/livez`)).status).toBe(200)
    await app.close()
  })
})
