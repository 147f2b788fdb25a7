import type { QueueClient } from '../jobs/client.ts'
import type { Inspect } from '../jobs/inspect/contract.ts'
import type { Storage } from '../storage/index.ts'
import type { Logger, Registry } from '../telemetry.ts'

interface ApiLimits {
  /** Largest model or dataset accepted. */
  readonly uploadBytes: number
  /** Largest JSON or YAML body; default 1 MiB. */
  readonly bodyBytes?: number
  /** Requests a minute for one key or address; 0 for no limit. Default 0. */
  readonly requestsPerMinute?: number
  /** Attempts of a job whose worker is lost or whose process crashes. Default 3. */
  readonly jobAttempts?: number
  /** Event loop delay above which requests are turned away; 0 for no limit. Default 2000. */
  readonly maxEventLoopDelayMs?: number
}

export interface ApiDeps {
  readonly storage: Storage
  readonly queue: QueueClient
  /** Looks at uploaded bytes in a capped child process: this process never parses them. */
  readonly inspect: Inspect
  readonly auth: 'keys' | 'none'
  readonly limits: ApiLimits
  readonly logger: Logger
  readonly metrics: Registry
  readonly version: string
  /** Aborted some time before the app is closed: `/readyz` says so, and everything else still answers. */
  readonly stopping?: AbortSignal
  /** Base address of a `serve` process that answers `/v2`; without it `/v2` is not here. */
  readonly serveUrl?: string | undefined
}
