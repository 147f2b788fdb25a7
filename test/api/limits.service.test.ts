import { describe, expect, it } from 'vitest'
import { buildApi } from '../../src/api/app.ts'
import { createMetrics } from '../../src/telemetry.ts'
import { useApi } from './harness.ts'

const api = useApi()
const build = (change: Partial<typeof api.deps>) => buildApi({ ...api.deps, metrics: createMetrics(), ...change })

describe('the rate limit', () => {
  it('counts by key, says when to come back, and leaves probes alone', async () => {
    const app = build({ limits: { uploadBytes: 1, requestsPerMinute: 3, maxEventLoopDelayMs: 0 } })
    const [mine, yours] = [await api.auth(), await api.auth()]
    const statuses: number[] = []
    for (let index = 0; index < 4; index += 1)
      statuses.push((await app.inject({ url: '/v1/jobs', headers: mine })).statusCode)
    expect(statuses).toEqual([200, 200, 200, 429])
    const refused = await app.inject({ url: '/v1/models', headers: mine })
    expect(refused.json()).toMatchObject({ status: 429, code: 'rate_limited', error: expect.any(String) })
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0)
    expect((await app.inject({ url: '/v1/jobs', headers: yours })).statusCode).toBe(200)
    for (let index = 0; index < 5; index += 1) expect((await app.inject('/livez')).statusCode).toBe(200)
    await app.close()
  })
})

describe('without authentication', () => {
  it('everybody is the default project, with every scope', async () => {
    const app = build({ auth: 'none' })
    const made = await app.inject({ method: 'POST', url: '/v1/keys', payload: { name: 'k', scopes: ['predict'] } })
    expect(made.json()).toMatchObject({ project: 'default', scopes: ['predict'] })
    expect((await app.inject({ url: '/v1/models', headers: { authorization: 'Bearer nonsense' } })).statusCode).toBe(
      200,
    )
    await app.close()
  })
})

describe('two apps', () => {
  it('share nothing: each has metrics of its own', async () => {
    const [first, second] = [build({}), build({})]
    await first.inject('/livez')
    expect((await first.inject('/metrics')).payload).toContain('route="/livez",status="200"} 1')
    expect((await second.inject('/metrics')).payload).not.toContain('route="/livez"')
    await Promise.all([first.close(), second.close()])
  })
})
