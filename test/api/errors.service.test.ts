import { describe, expect, it } from 'vitest'
import { buildApi } from '../../src/api/app.ts'
import { HastenError } from '../../src/errors.ts'
import { openStorage } from '../../src/storage/index.ts'
import { createMetrics } from '../../src/telemetry.ts'
import { createTestDatabase } from '../support/postgres.ts'
import { useApi } from './harness.ts'

const api = useApi()

describe('problem details', () => {
  it('have every member of the contract, and the request id', async () => {
    const answer = await api.call({
      url: '/v1/models/mdl_00000000000000000000000000',
      headers: { 'x-request-id': 'trace-7' },
    })
    expect(answer.status).toBe(404)
    expect(answer.headers['content-type']).toBe('application/problem+json; charset=utf-8')
    expect(answer.headers['x-request-id']).toBe('trace-7')
    expect(answer.body).toEqual({
      type: '/docs/errors#not_found',
      title: 'Not found',
      status: 404,
      detail: 'There is no model mdl_00000000000000000000000000.',
      instance: 'urn:request:trace-7',
      code: 'not_found',
      errors: [],
      hint: expect.any(String),
      error: 'There is no model mdl_00000000000000000000000000.',
    })
  })

  it('do not take a request id that could forge a log line or a header', async () => {
    const answer = await api.call({ url: '/v1/models', headers: { 'x-request-id': 'a b"<script>' } })
    expect(answer.headers['x-request-id']).toMatch(/^[0-9a-f-]{36}$/)
  })

  it('tell a wrong path from a wrong verb', async () => {
    expect((await api.call({ url: '/v1/nothing' })).body).toMatchObject({ status: 404, code: 'not_found' })
    const wrongVerb = await api.call({ method: 'DELETE', url: '/v1/jobs' })
    expect(wrongVerb.body).toMatchObject({ status: 405, code: 'method_not_allowed' })
    expect(String(wrongVerb.headers['allow']).split(', ').toSorted()).toEqual(['GET', 'HEAD', 'POST'])
  })

  it('name unknown query keys, unknown body keys and values of the wrong type by pointer', async () => {
    const query = await api.call({ url: '/v1/jobs?limit=0&colour=red' })
    expect(query.body).toMatchObject({ status: 400, code: 'invalid_request' })
    expect(query.body.errors.map((item: { pointer: string }) => item.pointer)).toEqual(
      expect.arrayContaining(['/querystring/limit', '/querystring/colour']),
    )
    const body = await api.call({
      method: 'POST',
      url: '/v1/jobs',
      payload: { model: 5, target: { threads: '2', cores: 1 } },
    })
    expect(body.body.errors).toEqual(
      expect.arrayContaining([
        { pointer: '/recipe', detail: 'is missing' },
        { pointer: '/model', detail: expect.stringContaining('string') },
        { pointer: '/target/threads', detail: expect.stringContaining('integer') },
        { pointer: '/target/cores', detail: 'is not a known key' },
      ]),
    )
  })

  it.each([
    ['{"a":', 400, 'invalid_request'],
    ['', 400, 'invalid_request'],
    ['{"__proto__":{"x":1}}', 400, 'invalid_request'],
    [`${'['.repeat(40)}${']'.repeat(40)}`, 400, 'invalid_request'],
    [JSON.stringify({ name: 'x'.repeat(2 ** 20) }), 413, 'body_too_large'],
  ])('refuse the JSON body %.30s', async (payload, status, code) => {
    const answer = await api.call({
      method: 'POST',
      url: '/v1/jobs',
      payload,
      headers: { 'content-type': 'application/json' },
    })
    expect(answer.body).toMatchObject({ status, code })
  })

  it('refuse a media type the path does not take', async () => {
    const answer = await api.call({
      method: 'POST',
      url: '/v1/jobs',
      payload: 'a=b',
      headers: { 'content-type': 'text/csv' },
    })
    expect(answer.body).toMatchObject({ status: 415, code: 'unsupported_media_type' })
  })

  it.each([
    [new Error('connect ECONNREFUSED 10.0.0.7:5432 user=secret'), 'internal'],
    [new HastenError('unavailable', 'connect ECONNREFUSED 10.0.0.7:5432 user=secret'), 'unavailable'],
  ])('keep what failed inside the service to the log: %s', async (error, code) => {
    api.setQueueFailure(error)
    const answer = await api.call({ url: '/v1/queues' })
    api.setQueueFailure(undefined)
    expect(answer.body).toMatchObject({ code, detail: expect.stringContaining('the log has the cause') })
    expect(answer.text).not.toMatch(/10\.0\.0\.7|secret/)
  })
})

describe('service routes', () => {
  it.each(['/livez', '/readyz', '/startupz'])('%s answers without a key', async (url) => {
    const answer = await api.app.inject({ url })
    expect(answer.json()).toEqual({ status: 'ok' })
  })

  it('is alive but not ready when the database does not answer', async () => {
    const database = await createTestDatabase()
    const storage = await openStorage({ connectionString: database.connectionString })
    const app = buildApi({ ...api.deps, storage, metrics: createMetrics() })
    expect((await app.inject('/readyz')).statusCode).toBe(200)
    await database.drop()
    expect((await app.inject('/livez')).statusCode).toBe(200)
    const ready = await app.inject('/readyz')
    expect(ready.json()).toMatchObject({ status: 503, code: 'unavailable' })
    expect(ready.payload).not.toContain('127.0.0.1')
    await app.close()
    await storage.close()
  })

  it('is not ready, but serves, once it has been told that it will stop', async () => {
    const stopping = new AbortController()
    const app = buildApi({ ...api.deps, stopping: stopping.signal, metrics: createMetrics() })
    expect((await app.inject('/readyz')).statusCode).toBe(200)
    stopping.abort()
    expect((await app.inject('/readyz')).json()).toMatchObject({ status: 503, code: 'unavailable' })
    expect((await app.inject('/livez')).statusCode).toBe(200)
    expect((await app.inject({ url: '/v1/models', headers: await api.auth() })).statusCode).toBe(200)
    await app.close()
  })

  it('counts requests by route pattern, not by id', async () => {
    await api.call({ url: '/v1/jobs/job_00000000000000000000000000' })
    const { payload, headers } = await api.app.inject('/metrics')
    expect(headers['content-type']).toContain('text/plain')
    expect(payload).toContain('hasten_http_requests_total{method="GET",route="/v1/jobs/:id",status="404"} 1')
    expect(payload).toContain('hasten_http_request_duration_seconds_bucket')
    expect(payload).not.toContain('job_0000')
  })

  it('serves the contract and a documentation page that fetches nothing from elsewhere', async () => {
    expect((await api.app.inject('/openapi.json')).json()).toMatchObject({
      openapi: '3.1.0',
      info: { version: '0.0.0-test' },
    })
    const page = await api.app.inject('/docs')
    expect(page.statusCode).toBe(200)
    const assets = [...page.payload.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, url]) => url ?? '')
    expect(assets.length).toBeGreaterThan(3)
    for (const url of assets) {
      expect(url).not.toMatch(/^(https?:)?\/\//)
      const asset = await api.app.inject(new URL(url, 'http://x/docs').pathname)
      expect(asset.statusCode, url).toBe(200)
    }
    const policy = String(page.headers['content-security-policy'])
    expect(policy).toContain("default-src 'self'")
    expect(policy).not.toMatch(/https?:|upgrade-insecure|\w\.\w/)
    const initializer = await api.app.inject('/docs/static/swagger-initializer.js')
    expect(initializer.payload.replaceAll(/^\s*\/\/.*$/gm, '')).not.toMatch(/https?:\/\//)
  })

  it('explains every error code on a page', async () => {
    const { payload, headers } = await api.app.inject('/docs/errors')
    expect(headers['content-type']).toContain('text/html')
    expect(payload).toContain('id="recipe_invalid"')
  })
})
