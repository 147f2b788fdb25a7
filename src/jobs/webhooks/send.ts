import { Webhook } from 'standardwebhooks'
import { Agent, request, type Dispatcher } from 'undici'
import { messageOf } from '../../errors.ts'
import type { ClaimedDelivery } from '../../storage/index.ts'
import { checkLiteralHost, guardedLookup } from './address-guard.ts'
import { parseRetryAfter } from './schedule.ts'

/** What came of one request. */
type SendResult =
  | { readonly ok: true; readonly status: number }
  | { readonly ok: false; readonly status?: number; readonly error: string; readonly retryAfterMs: number }

export interface Sender {
  send(delivery: ClaimedDelivery): Promise<SendResult>
  close(): Promise<void>
}

export interface SenderOptions {
  /** Also send to private and loopback addresses. */
  readonly allowPrivate: boolean
  readonly timeoutMs?: number
}

/** Posts deliveries, signed to the Standard Webhooks specification. Follows no redirect. */
export function createSender({ allowPrivate, timeoutMs = 20_000 }: SenderOptions): Sender {
  const connect = { timeout: timeoutMs, ...(allowPrivate ? {} : { lookup: guardedLookup }) }
  const dispatcher = new Agent({ connect, keepAliveTimeout: 1_000, pipelining: 1 })
  return {
    async send(delivery) {
      try {
        const url = new URL(delivery.webhook.url)
        if (!allowPrivate) checkLiteralHost(url)
        const answer = await post(url, delivery, { dispatcher, signal: AbortSignal.timeout(timeoutMs) })
        return readAnswer(answer)
      } catch (error) {
        return { ok: false, error: messageOf(error), retryAfterMs: 0 }
      }
    },
    close: async () => dispatcher.close(),
  }
}

interface PostOptions {
  readonly dispatcher: Dispatcher
  readonly signal: AbortSignal
}

async function post(url: URL, delivery: ClaimedDelivery, options: PostOptions): Promise<Dispatcher.ResponseData> {
  const body = JSON.stringify(delivery.payload)
  const now = new Date()
  const answer = await request(url, {
    ...options,
    method: 'POST',
    body,
    headers: {
      'content-type': 'application/json',
      'user-agent': 'hasten-webhooks',
      'webhook-id': delivery.id,
      'webhook-timestamp': String(Math.floor(now.getTime() / 1_000)),
      'webhook-signature': new Webhook(delivery.webhook.secret).sign(delivery.id, now, body),
    },
  })
  // Nothing in an answer's body matters; a long one is cut off.
  await answer.body.dump({ limit: 64 * 1024 })
  return answer
}

function readAnswer({ statusCode: status, headers }: Dispatcher.ResponseData): SendResult {
  if (status >= 200 && status < 300) return { ok: true, status }
  const header = headers['retry-after']
  const retryAfterMs = parseRetryAfter(Array.isArray(header) ? header[0] : header, new Date())
  return { ok: false, status, error: `The receiver answered ${status}.`, retryAfterMs }
}
