import type { JsonObject, Page, Paging } from '../rows.ts'

export interface WebhookRow {
  readonly id: string
  readonly project: string
  readonly url: string
  /** Event types, such as `job.succeeded`; `*` stands for all. */
  readonly events: readonly string[]
  /** `whsec_…` */
  readonly secret: string
  readonly enabled: boolean
  readonly createdAt: Date
}

export type DeliveryState = 'pending' | 'delivered' | 'failed'

export interface DeliveryRow {
  readonly id: string
  readonly webhookId: string
  readonly project: string
  readonly type: string
  readonly payload: JsonObject
  readonly state: DeliveryState
  readonly tries: number
  readonly nextTryAt: Date | null
  readonly lastStatus: number | null
  readonly lastError: string | null
  readonly createdAt: Date
}

export interface ClaimedDelivery extends DeliveryRow {
  readonly webhook: WebhookRow
}

/**
 * An outbox: a job that ends writes its deliveries (`job.succeeded`, `job.failed`, `job.canceled`, `job.expired`) in the
 * transaction of its terminal event, for the project's enabled webhooks that want the type and for `job.webhook`.
 */
export interface Webhooks {
  create(webhook: { project: string; url: string; events: readonly string[] }): Promise<WebhookRow>
  find(project: string, id: string): Promise<WebhookRow | undefined>
  list(project: string, paging: Paging): Promise<Page<WebhookRow>>
  update(
    project: string,
    id: string,
    change: { url?: string | undefined; events?: readonly string[] | undefined; enabled?: boolean | undefined },
  ): Promise<WebhookRow | undefined>
  remove(project: string, id: string): Promise<boolean>
  /** Writes a delivery for each enabled webhook of the project that wants the type; returns how many. */
  enqueue(project: string, type: string, payload: object): Promise<number>
  /** Due deliveries, each to one caller only; counts the try and hides them for `leaseMs`. */
  claimDeliveries(request: { limit: number; leaseMs: number }): Promise<readonly ClaimedDelivery[]>
  markDelivered(id: string, status: number): Promise<void>
  /** `nextTryAt: null` gives up. */
  markFailed(id: string, failure: { status?: number; error: string; nextTryAt: Date | null }): Promise<void>
  listDeliveries(project: string, webhookId: string, paging: Paging): Promise<Page<DeliveryRow>>
}
