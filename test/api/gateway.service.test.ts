import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import Fastify, { type FastifyInstance } from 'fastify'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { gatewayPlugin } from '../../src/api/gateway.ts'
import { bodyPlugin } from '../../src/api/plugins/body.ts'
import { errorsPlugin } from '../../src/api/plugins/errors.ts'

let upstream: Server
let app: FastifyInstance
let seen: { method?: string; url?: string; headers: IncomingMessage['headers']; body: Buffer }

beforeAll(async () => {
  upstream = createServer((request, response) => void answer(request, response))
  await new Promise<void>((resolve) => upstream.listen(0, '127.0.0.1', resolve))
  app = Fastify()
  app.register(errorsPlugin)
  app.register(bodyPlugin)
  app.register(gatewayPlugin, { upstream: `http://127.0.0.1:${(upstream.address() as AddressInfo).port}` })
  await app.listen({ host: '127.0.0.1', port: 0 })
})

afterAll(async () => {
  await app.close()
  upstream.close()
})

async function answer(request: IncomingMessage, response: ServerResponse) {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  seen = { method: request.method!, url: request.url!, headers: request.headers, body: Buffer.concat(chunks) }
  response.writeHead(request.url?.includes('missing') ? 404 : 200, {
    'content-type': 'application/octet-stream',
    'inference-header-content-length': '3',
  })
  response.end(Buffer.from([1, 2, 3]))
}

describe('the gateway', () => {
  it('passes requests and answers through, byte for byte', async () => {
    const payload = Buffer.concat([Buffer.from('{"inputs":[]}'), Buffer.from([0, 255, 128])])
    const headers = {
      authorization: 'Bearer hk_x',
      'inference-header-content-length': '13',
      'content-type': 'application/octet-stream',
    }
    const response = await app.inject({ method: 'POST', url: '/v2/models/digits/infer?x=1', payload, headers })
    expect(response.statusCode).toBe(200)
    expect(response.rawPayload).toEqual(Buffer.from([1, 2, 3]))
    expect(response.headers['inference-header-content-length']).toBe('3')
    expect(seen).toMatchObject({ method: 'POST', url: '/v2/models/digits/infer?x=1' })
    expect(seen.body).toEqual(payload)
    expect(seen.headers).toMatchObject({ authorization: 'Bearer hk_x', 'inference-header-content-length': '13' })
    expect(seen.headers['x-request-id']).toBeDefined()
  })

  it('does not parse: JSON that is none, and bodies without a type, arrive as they are', async () => {
    const port = (app.server.address() as AddressInfo).port
    for (const headers of [{ 'content-type': 'application/json' }, { 'content-type': '' }]) {
      await fetch(`http://127.0.0.1:${port}/v2/models/a/infer`, { method: 'POST', body: Buffer.from('{"x":'), headers })
      expect(seen.body.toString()).toBe('{"x":')
    }
  })

  it('passes refusals of the data plane through', async () => {
    expect((await app.inject('/v2/models/missing')).statusCode).toBe(404)
    expect((await app.inject('/v2/health/ready')).statusCode).toBe(200)
    expect(seen.url).toBe('/v2/health/ready')
  })

  it('cannot be led out of /v2', async () => {
    const response = await app.inject('/v2/../v1/keys')
    expect(response.statusCode).toBeGreaterThanOrEqual(400)
  })

  it('says 503 with a problem when the data plane does not answer', async () => {
    const lonely = Fastify()
    lonely.register(errorsPlugin)
    lonely.register(gatewayPlugin, { upstream: 'http://127.0.0.1:1' })
    const response = await lonely.inject('/v2/health/ready')
    expect(response.json()).toMatchObject({ status: 503, code: 'unavailable', error: expect.any(String) })
    expect(response.payload).not.toContain('127.0.0.1')
    await lonely.close()
  })
})
