import { createServer, type IncomingHttpHeaders, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Webhook } from 'standardwebhooks'
import { afterEach, describe, expect, test } from 'vitest'
import { createSender, type SenderOptions } from '../../../src/jobs/webhooks/send.ts'
import type { ClaimedDelivery } from '../../../src/storage/index.ts'

const secret = `whsec_${Buffer.alloc(32, 7).toString('base64')}`
const payload = { type: 'job.succeeded', timestamp: '2026-01-01T00:00:00.000Z', data: { id: 'job_1', name: 'Zoë' } }
const closing: (() => Promise<unknown>)[] = []

afterEach(async () => {
  await Promise.all(closing.splice(0).map(async (close) => close()))
})

async function receive(answer: RequestListener): Promise<string> {
  const server = createServer(answer)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  closing.push(async () => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`
}

function delivery(url: string): ClaimedDelivery {
  const webhook = { id: 'whk_1', project: 'p', url, events: ['*'], secret, enabled: true, createdAt: new Date() }
  const state = { state: 'pending' as const, tries: 1, nextTryAt: null, lastStatus: null, lastError: null }
  return {
    id: 'dlv_1',
    webhookId: 'whk_1',
    project: 'p',
    type: payload.type,
    payload,
    createdAt: new Date(),
    ...state,
    webhook,
  }
}

async function send(url: string, options: Partial<SenderOptions> = {}) {
  const sender = createSender({ allowPrivate: true, timeoutMs: 2_000, ...options })
  closing.push(async () => sender.close())
  return sender.send(delivery(url))
}

describe('a webhook request', () => {
  test('is signed to the Standard Webhooks specification', async () => {
    let got: { headers: IncomingHttpHeaders; body: string; method: string | undefined } | undefined
    const url = await receive((request, response) => {
      let body = ''
      request.setEncoding('utf8').on('data', (text: string) => {
        body += text
      })
      request.on('end', () => {
        got = { headers: request.headers, body, method: request.method }
        response.writeHead(204).end()
      })
    })
    expect(await send(url)).toEqual({ ok: true, status: 204 })
    const headers = got!.headers as Record<string, string>
    expect(new Webhook(secret).verify(got!.body, headers)).toEqual(payload)
    expect(got).toMatchObject({
      method: 'POST',
      headers: { 'webhook-id': 'dlv_1', 'content-type': 'application/json' },
    })
    expect(() => new Webhook(secret).verify(`${got!.body} `, headers)).toThrow('signature')
  })

  test('follows no redirect', async () => {
    let reached = false
    const target = await receive((_, response) => {
      reached = true
      response.end()
    })
    const url = await receive((_, response) => response.writeHead(302, { location: target }).end())
    expect(await send(url)).toMatchObject({ ok: false, status: 302 })
    expect(reached).toBe(false)
  })

  test('that is refused says by which status and when to come back', async () => {
    const url = await receive((_, response) => response.writeHead(503, { 'retry-after': '7' }).end('busy'))
    expect(await send(url)).toMatchObject({ ok: false, status: 503, retryAfterMs: 7_000 })
  })

  test('ends when the receiver takes too long', async () => {
    const url = await receive(() => undefined)
    expect(await send(url, { timeoutMs: 100 })).toMatchObject({ ok: false, retryAfterMs: 0 })
  })

  test('to nobody fails with the reason', async () => {
    const url = await receive(() => undefined)
    await closing.pop()?.()
    expect(await send(url)).toMatchObject({ ok: false, error: expect.stringContaining('ECONNREFUSED') })
  })

  test.each([(url: string) => url, (url: string) => url.replace('127.0.0.1', 'localhost')])(
    'goes to no private address unless that is allowed, by number or by name',
    async (spell) => {
      let reached = false
      const url = await receive((_, response) => {
        reached = true
        response.end()
      })
      const result = await send(spell(url), { allowPrivate: false })
      expect(result).toMatchObject({ ok: false, error: expect.stringContaining('private address') })
      expect(reached).toBe(false)
    },
  )

  test('whose URL is not one fails like any other', async () => {
    expect(await send('not a url')).toMatchObject({ ok: false, retryAfterMs: 0 })
  })
})
