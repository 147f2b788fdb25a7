import type { ClaimedDelivery, Webhooks } from '../../storage/index.ts'
import type { Logger } from '../../telemetry.ts'
import { startLoop, type Loop } from '../loop.ts'
import type { JobMetrics } from '../metrics.ts'
import { nextTry } from './schedule.ts'
import { createSender, type Sender, type SenderOptions } from './send.ts'

export interface DeliverDeps extends SenderOptions {
  readonly webhooks: Pick<Webhooks, 'claimDeliveries' | 'markDelivered' | 'markFailed' | 'update'>
  readonly metrics: JobMetrics
  readonly logger: Logger
  readonly intervalMs?: number
}

const batchSize = 10
/** Longer than a request may take: only a process that died lets it pass. */
const leaseMs = 120_000
const gone = 410

/** Sends what is due until stopped. Any number may run: a delivery is claimed by one. */
export function startDeliveries(deps: DeliverDeps): Loop {
  const sender = createSender(deps)
  const loop = startLoop('webhooks', deps.intervalMs ?? 2_000, deps.logger, async () => deliverDue(deps, sender))
  return {
    async stop() {
      await loop.stop()
      await sender.close()
    },
  }
}

/** One round; returns how many requests were made. */
export async function deliverDue(deps: DeliverDeps, sender: Sender): Promise<number> {
  const due = await deps.webhooks.claimDeliveries({ limit: batchSize, leaseMs })
  await Promise.all(due.map(async (delivery) => deliver(deps, sender, delivery)))
  return due.length
}

async function deliver({ webhooks, metrics, logger }: DeliverDeps, sender: Sender, delivery: ClaimedDelivery) {
  const result = await sender.send(delivery)
  metrics.webhookDeliveries.inc({ outcome: result.ok ? 'delivered' : 'failed' })
  if (result.ok) return webhooks.markDelivered(delivery.id, result.status)
  const { status, error, retryAfterMs } = result
  logger.info({ delivery: delivery.id, webhook: delivery.webhookId, status, error }, 'webhook not delivered')
  // Gone: the receiver wants nothing any more.
  if (status === gone) await webhooks.update(delivery.project, delivery.webhookId, { enabled: false })
  const nextTryAt = status === gone ? null : nextTry(new Date(), delivery.tries, retryAfterMs)
  await webhooks.markFailed(delivery.id, { ...(status === undefined ? {} : { status }), error, nextTryAt })
}
