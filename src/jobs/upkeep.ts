import { Counter } from '@prometheus-io/client'
import { startLoop, type Loop } from './loop.ts'
import type { Storage } from '../storage/index.ts'
import type { Logger, Registry } from '../telemetry.ts'

export interface UpkeepDeps {
  readonly storage: Pick<
    Storage,
    'artifacts' | 'idempotency' | 'stageCache' | 'kernelTimes' | 'hosts' | 'deployments' | 'exclusively'
  >
  readonly metrics: Registry
  readonly logger: Logger
  readonly intervalMs?: number
}

const hour = 3_600_000
const day = 24 * hour

/** How old something that nobody uses gets. */
const ages = {
  // Results that no job has asked for.
  stageResult: 14 * day,
  // Measured again, or handed in again by a worker that still has it.
  kernelTime: 90 * day,
  // Reports show the inventory of the host they were measured on.
  host: 90 * day,
  replica: hour,
  // An upload that has not finished in a day is not going to.
  artifact: day,
}

/** Removes what nobody needs any more, in one process at a time. */
export function startUpkeep(deps: UpkeepDeps): Loop {
  const tasks = createTasks(deps)
  return startLoop('upkeep', deps.intervalMs ?? 600_000, deps.logger, async () =>
    deps.storage.exclusively('upkeep', async () => {
      for (const [task, run] of Object.entries(tasks)) await runTask(deps.logger, task, run)
    }),
  )
}

/** Each returns how many rows went. What these let go of is an artifact's last use: it goes a day later. */
function createTasks({ storage, metrics }: UpkeepDeps): Readonly<Record<string, () => Promise<number>>> {
  const collected = new Counter({
    name: 'hasten_artifact_bytes_collected_total',
    help: 'Bytes of unreferenced artifacts that were deleted',
    registers: [metrics],
  })
  return {
    'idempotency keys': async () => storage.idempotency.prune(new Date()),
    'stage results': async () => storage.stageCache.prune(ages.stageResult),
    'kernel times': async () => storage.kernelTimes.prune(ages.kernelTime),
    hosts: async () => storage.hosts.prune(ages.host),
    replicas: async () => storage.deployments.pruneReplicas(ages.replica),
    artifacts: async () => {
      const { blobs, bytes } = await storage.artifacts.collectGarbage({ olderThanMs: ages.artifact })
      collected.inc(bytes)
      return blobs
    },
  }
}

async function runTask(logger: Logger, task: string, run: () => Promise<number>): Promise<void> {
  try {
    const removed = await run()
    if (removed > 0) logger.info({ task, removed }, 'upkeep')
  } catch (error) {
    logger.warn({ err: error, task }, 'upkeep failed')
  }
}
