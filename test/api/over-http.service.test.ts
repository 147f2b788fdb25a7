import supertest from 'supertest'
import { describe, expect, it } from 'vitest'
import { useApi } from './harness.ts'

const api = useApi()
const agent = () => supertest(api.url)

// Everything else here goes through inject; these go over a socket, as clients do.
describe('over a socket', () => {
  it('answers a client without a key with a problem and a challenge', async () => {
    const response = await agent()
      .get('/v1/models')
      .expect(401)
      .expect('content-type', /application\/problem\+json/)
    expect(response.headers['www-authenticate']).toContain('Bearer')
    expect(response.body).toMatchObject({ code: 'unauthorized', status: 401, error: expect.any(String) })
  })

  it('makes and lists a recipe', async () => {
    const headers = await api.auth()
    const recipe = { version: 1, name: 'mine', steps: [{ pass: 'simplify' }] }
    await agent().post('/v1/recipes').set(headers).send(recipe).expect(201)
    const { body } = await agent().get('/v1/recipes').set(headers).expect(200)
    expect(body.data.map(({ name }: { name: string }) => name)).toContain('mine')
  })

  it('reads YAML as it came and says which line is wrong', async () => {
    const text = 'version: 1\nname: mine\nsteps:\n  - pass: simplify\n    options: { prooove: true }\n'
    const request = agent()
      .post('/v1/recipes')
      .set(await api.auth())
      .set('content-type', 'application/yaml')
    const { body } = await request.send(text).expect(422)
    expect(body).toMatchObject({ code: 'recipe_invalid', errors: [{ line: 5 }] })
  })

  it('serves the contract, probes and metrics to anybody', async () => {
    const { body } = await agent().get('/openapi.json').expect(200)
    expect(body.openapi).toMatch(/^3\.1/)
    await agent().get('/livez').expect(200)
    await agent().get('/readyz').expect(200)
    const metrics = await agent().get('/metrics').expect(200)
    expect(metrics.text).toContain('hasten_http_requests_total')
  })
})
