import { HastenError, serializeError, type SerializedError } from '../../errors.ts'
import type { DeploymentRow } from '../../storage/index.ts'
import type { LoadedVersion } from './load-version.ts'

/** A deployment as this process holds it. */
export interface Entry {
  /** As last read; what it wants decides what is loaded. */
  row: DeploymentRow
  /** What answers; while another version loads, still the old one. */
  current: LoadedVersion | undefined
  loading: { readonly version: number; readonly abort: AbortController } | undefined
  failure: Failure | undefined
  health: Health
}

interface Failure {
  readonly version: number
  readonly error: SerializedError
  readonly tries: number
  /** `performance.now()` from which it is worth another try; infinite when only another version can help. */
  readonly retryAt: number
}

/** What is known of `current` since it was ready. */
export interface Health {
  /** Why it should get no requests. */
  error: SerializedError | undefined
  probing: boolean
  /** Failures in a row that a good probe has explained by the requests. */
  excused: number
}

const firstRetryMs = 2000
const lastRetryMs = 60_000
/** What may pass without anybody changing the deployment. */
const passing: ReadonlySet<string> = new Set(['unavailable', 'storage_full', 'internal'])

export function createEntry(row: DeploymentRow): Entry {
  return { row, current: undefined, loading: undefined, failure: undefined, health: freshHealth() }
}

export function freshHealth(): Health {
  return { error: undefined, probing: false, excused: 0 }
}

export function currentVersion(entry: Entry): number | undefined {
  return entry.current === undefined ? undefined : Number(entry.current.served.version)
}

/** The error of a load, and when to try again. */
export function recordFailure(entry: Entry, version: number, error: unknown): Failure {
  const tries = entry.failure?.version === version ? entry.failure.tries + 1 : 1
  const code = error instanceof HastenError ? error.code : 'internal'
  const waitMs = passing.has(code) ? Math.min(lastRetryMs, firstRetryMs * 2 ** (tries - 1)) : Infinity
  entry.failure = { version, error: serializeError(error), tries, retryAt: performance.now() + waitMs }
  return entry.failure
}

export interface LocalStatus {
  readonly version: number
  readonly state: 'loading' | 'ready' | 'failed'
  readonly error: SerializedError | null
}

/** What this process says of the versions it holds, loads, or failed to load. */
export function statusesOf(entry: Entry): readonly LocalStatus[] {
  const { current, loading, failure, health, row } = entry
  const statuses: LocalStatus[] = []
  if (current !== undefined) {
    const state = health.error === undefined ? 'ready' : 'failed'
    statuses.push({ version: Number(current.served.version), state, error: health.error ?? null })
  }
  if (loading !== undefined) statuses.push({ version: loading.version, state: 'loading', error: null })
  if (failure?.version === row.active && loading?.version !== row.active) {
    statuses.push({ version: failure.version, state: 'failed', error: failure.error })
  }
  return statuses
}

/** The wanted version is loaded or has failed. */
export function isSettled(entry: Entry): boolean {
  return statusesOf(entry).some(({ version, state }) => version === entry.row.active && state !== 'loading')
}
