import { Type } from 'typebox'
import type { DeliveryRow, WebhookRow } from '../../../storage/index.ts'
import {
  closed,
  formatTime,
  formatTimeOrNull,
  idOf,
  listOf,
  nullable,
  openObject,
  timestamp,
} from '../../schemas/common.ts'

const eventTypes = [
  '*',
  'job.succeeded',
  'job.failed',
  'job.canceled',
  'job.expired',
  'deployment.promoted',
  'deployment.rolled_back',
] as const

const url = Type.String({ format: 'uri', pattern: '^https?://', maxLength: 2048 })
const events = Type.Array(Type.Enum([...eventTypes]), { minItems: 1, uniqueItems: true })

const webhookFields = {
  id: idOf('whk'),
  object: Type.Literal('webhook'),
  project: Type.String(),
  url,
  events,
  enabled: Type.Boolean(),
  created_at: timestamp,
}

export const webhookSchema = Type.Object(webhookFields, closed)

export const createdWebhookSchema = Type.Object(
  {
    ...webhookFields,
    secret: nullable(
      Type.String({ description: 'Signs the deliveries. Shown once; null when the answer is repeated.' }),
    ),
  },
  closed,
)

export const newWebhookSchema = Type.Object({ url, events: Type.Optional(events) }, closed)

export const webhookChangeSchema = Type.Object(
  { url: Type.Optional(url), events: Type.Optional(events), enabled: Type.Optional(Type.Boolean()) },
  { ...closed, minProperties: 1 },
)

export const deliverySchema = Type.Object(
  {
    id: idOf('dlv'),
    object: Type.Literal('webhook_delivery'),
    webhook: idOf('whk'),
    type: Type.String(),
    state: Type.Enum(['pending', 'delivered', 'failed']),
    tries: Type.Integer(),
    next_try_at: nullable(timestamp),
    last_status: nullable(Type.Integer()),
    last_error: nullable(Type.String()),
    payload: openObject('What is sent.'),
    created_at: timestamp,
  },
  closed,
)

export const deliveryList = listOf(deliverySchema)

export const deliveryParams = Type.Object({ id: idOf('whk'), delivery: idOf('dlv') }, closed)

export function renderWebhook(row: WebhookRow) {
  return {
    id: row.id,
    object: 'webhook' as const,
    project: row.project,
    url: row.url,
    events: [...row.events] as (typeof eventTypes)[number][],
    enabled: row.enabled,
    created_at: formatTime(row.createdAt),
  }
}

export function renderDelivery(row: DeliveryRow) {
  return {
    id: row.id,
    object: 'webhook_delivery' as const,
    webhook: row.webhookId,
    type: row.type,
    state: row.state,
    tries: row.tries,
    next_try_at: formatTimeOrNull(row.nextTryAt),
    last_status: row.lastStatus,
    last_error: row.lastError,
    payload: row.payload,
    created_at: formatTime(row.createdAt),
  }
}
