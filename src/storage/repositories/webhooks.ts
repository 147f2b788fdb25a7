import { randomBytes } from 'node:crypto'
import type { Database, Transaction } from '../database.ts'
import type { Job, WebhookDelivery } from '../generated/client.ts'
import { newId } from '../ids.ts'
import { toJson } from '../json.ts'
import { pageQuery, toPage } from '../paging.ts'
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

type DeliveryState = 'pending' | 'delivered' | 'failed'

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
 * transaction of its terminal event, for the project's enabled webhooks that want the type and for `job.webhook`; so does
 * a canary that ends (`deployment.promoted`, `deployment.rolled_back`).
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
  /** One delivery to one webhook, whatever it subscribed to. Undefined: no such webhook. */
  deliver(project: string, webhookId: string, type: string, payload: object): Promise<DeliveryRow | undefined>
  /** A new delivery of what an old one carried. Undefined: no such delivery of that webhook. */
  redeliver(project: string, webhookId: string, deliveryId: string): Promise<DeliveryRow | undefined>
  /** Due deliveries, each to one caller only; counts the try and hides them for `leaseMs`. */
  claimDeliveries(request: { limit: number; leaseMs: number }): Promise<readonly ClaimedDelivery[]>
  markDelivered(id: string, status: number): Promise<void>
  /** `nextTryAt: null` gives up. */
  markFailed(id: string, failure: { status?: number; error: string; nextTryAt: Date | null }): Promise<void>
  listDeliveries(project: string, webhookId: string, paging: Paging): Promise<Page<DeliveryRow>>
}

const secretBytes = 32

export function createWebhooks({ prisma, transaction }: Database): Webhooks {
  return {
    async create({ project, url, events }) {
      const secret = `whsec_${randomBytes(secretBytes).toString('base64')}`
      return prisma.webhook.create({ data: { id: newId('whk'), project, url, events: [...events], secret } })
    },
    async find(project, id) {
      return (await prisma.webhook.findFirst({ where: { project, id } })) ?? undefined
    },
    async list(project, paging) {
      const { take, where, orderBy } = pageQuery('whk', paging)
      return toPage(await prisma.webhook.findMany({ where: { project, ...where }, orderBy, take }), take)
    },
    async update(project, id, { url, events, enabled }) {
      const data = {
        ...(url === undefined ? {} : { url }),
        ...(events === undefined ? {} : { events: [...events] }),
        ...(enabled === undefined ? {} : { enabled }),
      }
      return (await prisma.webhook.updateManyAndReturn({ where: { project, id }, data }))[0]
    },
    async remove(project, id) {
      return (await prisma.webhook.deleteMany({ where: { project, id } })).count === 1
    },
    enqueue: (project, type, payload) => transaction((tx) => enqueueDeliveries(tx, { project, type, payload })),
    deliver: (project, webhookId, type, payload) =>
      transaction((tx) => createDelivery(tx, { project, webhookId, type, payload })),
    redeliver: (project, webhookId, deliveryId) =>
      transaction(async (tx) => {
        const old = await tx.webhookDelivery.findFirst({ where: { project, webhookId, id: deliveryId } })
        if (old === null) return undefined
        const { type, payload } = toDeliveryRow(old)
        return createDelivery(tx, { project, webhookId, type, payload })
      }),
    claimDeliveries: (request) => transaction((tx) => claimDeliveries(tx, request)),
    async markDelivered(id, status) {
      const data = { state: 'delivered', nextTryAt: null, lastStatus: status, lastError: null }
      await prisma.webhookDelivery.updateMany({ where: { id }, data })
    },
    async markFailed(id, { status, error, nextTryAt }) {
      const state = nextTryAt === null ? 'failed' : 'pending'
      const data = { state, nextTryAt, lastStatus: status ?? null, lastError: error }
      await prisma.webhookDelivery.updateMany({ where: { id }, data })
    },
    async listDeliveries(project, webhookId, paging) {
      const { take, where, orderBy } = pageQuery('dlv', paging)
      const found = await prisma.webhookDelivery.findMany({ where: { project, webhookId, ...where }, orderBy, take })
      return toPage(found.map(toDeliveryRow), take)
    },
  }
}

interface NewDelivery {
  readonly project: string
  readonly type: string
  readonly payload: object
  /** A webhook that is told whatever it subscribed to. */
  readonly webhookId?: string | null
}

async function enqueueDeliveries(tx: Transaction, { project, type, payload, webhookId }: NewDelivery): Promise<number> {
  const wanted = [{ events: { hasSome: [type, '*'] } }, ...(webhookId ? [{ id: webhookId }] : [])]
  const webhooks = await tx.webhook.findMany({ where: { project, enabled: true, OR: wanted }, select: { id: true } })
  const nextTryAt = new Date()
  const data = webhooks.map(({ id }) => {
    return { id: newId('dlv'), webhookId: id, project, type, payload: toJson(payload), nextTryAt }
  })
  return (await tx.webhookDelivery.createMany({ data })).count
}

async function createDelivery(
  tx: Transaction,
  { project, webhookId, type, payload }: NewDelivery & { readonly webhookId: string },
): Promise<DeliveryRow | undefined> {
  const webhook = await tx.webhook.findFirst({ where: { project, id: webhookId }, select: { id: true } })
  if (webhook === null) return undefined
  const data = { id: newId('dlv'), webhookId, project, type, payload: toJson(payload), nextTryAt: new Date() }
  return toDeliveryRow(await tx.webhookDelivery.create({ data }))
}

/** What the webhooks of the project are told of a job that ended; in the transaction that ends it. */
export async function enqueueJobDeliveries(tx: Transaction, job: Job): Promise<void> {
  const { id, project, state, modelId: model, verdict, error, metadata, finishedAt } = job
  const type = `job.${state}`
  const result = job.resultModelId === null ? null : { model: job.resultModelId }
  const data = { id, object: 'job', project, state, model, result, verdict, error, metadata }
  await enqueueDeliveries(tx, { project, type, payload: { type, timestamp: finishedAt, data }, webhookId: job.webhook })
}

/** What the webhooks of the project are told of a deployment; in the transaction that changes it. */
export async function enqueueDeploymentDeliveries(
  tx: Transaction,
  project: string,
  type: string,
  data: object,
): Promise<void> {
  await enqueueDeliveries(tx, { project, type, payload: { type, timestamp: new Date(), data } })
}

async function claimDeliveries(
  tx: Transaction,
  { limit, leaseMs }: { limit: number; leaseMs: number },
): Promise<readonly ClaimedDelivery[]> {
  const due = await tx.$queryRaw<{ id: string }[]>`
    UPDATE webhook_deliveries SET tries = tries + 1, next_try_at = now() + ${leaseMs} * interval '1 millisecond'
    WHERE id IN (
      SELECT id FROM webhook_deliveries WHERE state = 'pending' AND next_try_at <= now()
      ORDER BY next_try_at LIMIT ${limit} FOR UPDATE SKIP LOCKED
    )
    RETURNING id`
  const claimed = await tx.webhookDelivery.findMany({
    where: { id: { in: due.map(({ id }) => id) } },
    include: { webhook: true },
    orderBy: { id: 'asc' },
  })
  return claimed.map(({ webhook, ...delivery }) => Object.assign(toDeliveryRow(delivery), { webhook }))
}

function toDeliveryRow(delivery: WebhookDelivery): DeliveryRow {
  return { ...delivery, state: delivery.state as DeliveryState, payload: delivery.payload as JsonObject }
}
