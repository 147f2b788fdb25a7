import { Counter } from '@prometheus-io/client'
import { startLoop, type Loop } from './loop.ts'
import type { Storage } from '../storage/index.ts'
import type { Logger, Registry } from '../telemetry.ts'

export interface UpkeepDeps {
  readonly storage: Pick<Storage, 'artifacts' | 'idempotency'>
  readonly metrics: Registry
  readonly logger: Logger
  readonly intervalMs?: number
}

// An upload that has not finished in a day is not going to.
const garbageAgeMs = 24 * 60 * 60 * 1000

/** Collects what nothing refers to any more: blobs of deleted models and aborted uploads, old idempotency keys. */
export function startUpkeep({ storage, metrics, logger, intervalMs = 600_000 }: UpkeepDeps): Loop {
  const collected = new Counter({
    name: 'hasten_artifact_bytes_collected_total',
    help: 'Bytes of unreferenced artifacts that were deleted',
    registers: [metrics],
  })
  return startLoop('upkeep', intervalMs, logger, async () => {
    const { blobs, bytes } = await storage.artifacts.collectGarbage({ olderThanMs: garbageAgeMs })
    collected.inc(bytes)
    if (blobs > 0) logger.info({ blobs, bytes }, 'unreferenced artifacts deleted')
    await storage.idempotency.prune(new Date())
  })
}
