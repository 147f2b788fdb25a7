import type { Config } from '../config.ts'
import { buildApi } from '../api/app.ts'
import { createQueueClient } from '../jobs/client.ts'
import { createJobMetrics } from '../jobs/metrics.ts'
import { reconcileEveryMs, startReconciler } from '../jobs/reconciler.ts'
import { startUpkeep } from '../jobs/upkeep.ts'
import { startDeliveries } from '../jobs/webhooks/deliver.ts'
import { openStorage } from '../storage/index.ts'
import { createMetrics, type Logger } from '../telemetry.ts'
import { openDatabase } from './database.ts'
import { openInspect } from './inspect.ts'
import { announceStop, closeAll, type RunningRole } from './lifecycle.ts'
import { readVersion } from './version.ts'

/**
 * The control plane: answers /v1, and looks after what belongs to nobody else (lost jobs, webhooks, garbage). Never
 * loads the runtime; uploads are inspected in a capped child process.
 */
export async function startApi(config: Config, logger: Logger): Promise<RunningRole> {
  const database = await openDatabase(config, logger)
  const { connectionString } = database
  const storage = await openStorage({ connectionString, logger })
  const queue = createQueueClient({ redisUrl: config.redisUrl, connectionString, prefix: config.queuePrefix, logger })
  const metrics = createMetrics()
  const jobMetrics = createJobMetrics(metrics)
  const stopping = new AbortController()
  const app = buildApi({
    storage,
    queue,
    inspect: openInspect(config, connectionString),
    auth: config.auth,
    limits: {
      uploadBytes: config.maxUploadBytes,
      requestsPerMinute: config.rateLimit,
      jobAttempts: config.jobAttempts,
    },
    logger,
    metrics,
    version: readVersion(),
    stopping: stopping.signal,
    serveUrl: config.serveUrl,
  })
  const url = await app.listen({ host: config.host, port: config.port })
  const loops = [
    startReconciler({ storage, client: queue, metrics: jobMetrics, logger }, reconcileEveryMs),
    startDeliveries({ webhooks: storage.webhooks, metrics: jobMetrics, logger, allowPrivate: config.webhookPrivate }),
    startUpkeep({ storage, metrics, logger }),
  ]
  const close = async () =>
    closeAll([
      async () => announceStop(stopping, config),
      async () => app.close(),
      ...loops.map((loop) => async () => loop.stop()),
      async () => queue.close(),
      async () => storage.close(),
      async () => database.close(),
    ])
  return { url, close }
}
