import type { Logger } from '../telemetry.ts'
import type { ArtifactStore } from './artifacts/port.ts'
import type { Exclusively } from './exclusive.ts'
import type { Captured } from './repositories/captured.ts'
import type { Datasets } from './repositories/datasets.ts'
import type { Deployments } from './repositories/deployments/types.ts'
import type { Events } from './repositories/events.ts'
import type { Hosts } from './repositories/hosts.ts'
import type { Idempotency } from './repositories/idempotency.ts'
import type { Jobs } from './repositories/jobs/types.ts'
import type { KernelTimes } from './repositories/kernel-times.ts'
import type { Keys } from './repositories/keys.ts'
import type { Models } from './repositories/models.ts'
import type { Recipes } from './repositories/recipes.ts'
import type { StageCache } from './repositories/stage-cache.ts'
import type { Webhooks } from './repositories/webhooks.ts'

export interface StorageOptions {
  readonly connectionString: string
  readonly logger?: Logger
  /** Connections for rows; artifacts and LISTEN have their own. Default 10. */
  readonly maxConnections?: number
}

/** The text of the notification; null after a reconnect, when some may have been missed: look again. */
export type NotifyHandler = (payload: string | null) => void

/** All that lies in Postgres. Every method throws `unavailable` when the database does not answer, and works again when it does. */
export interface Storage {
  readonly models: Models
  readonly datasets: Datasets
  readonly recipes: Recipes
  readonly jobs: Jobs
  readonly events: Events
  readonly keys: Keys
  readonly deployments: Deployments
  readonly captured: Captured
  readonly hosts: Hosts
  readonly idempotency: Idempotency
  readonly webhooks: Webhooks
  readonly stageCache: StageCache
  readonly kernelTimes: KernelTimes
  readonly artifacts: ArtifactStore
  /** Resolves once listening. All channels share one connection, which comes back by itself. */
  readonly listen: (channel: string, handler: NotifyHandler) => Promise<() => void>
  notify(channel: string, payload: string): Promise<void>
  readonly exclusively: Exclusively
  /** One round trip to the database, for readiness. */
  ping(): Promise<void>
  close(): Promise<void>
}
