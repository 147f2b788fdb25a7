import { HastenError, serializeError, type SerializedError } from '../../errors.ts'
import type { DeploymentVersionRow } from '../../storage/index.ts'
import type { ServedVersion } from '../served-version.ts'
import type { Gate } from './gate.ts'
import type { Known, LoadedVersion } from './load-version.ts'

/** One version of a deployment as this process holds it. */
export interface Slot {
  readonly row: DeploymentVersionRow
  /** What is in memory now. */
  loaded: LoadedVersion | undefined
  /** What requests get: one object from the first load on, also while nothing is in memory. */
  served: ServedVersion | undefined
  gate: Gate | undefined
  /** Of its first load. */
  known: Known | undefined
  loading: Loading | undefined
  failure: Failure | undefined
  health: Health
}

interface Loading {
  readonly abort: AbortController
  /** Settles when it has been loaded, or has failed: `failure` tells. */
  readonly done: Promise<void>
}

interface Failure {
  readonly error: SerializedError
  readonly tries: number
  /** `performance.now()` from which it is worth another try; infinite when only another version can help. */
  readonly retryAt: number
}

/** What is known of `loaded` since it was ready. */
export interface Health {
  /** Why it should get no requests. */
  error: SerializedError | undefined
  probing: boolean
  /** `performance.now()` when it was last seen to answer as it should. */
  seenAt: number
  /** Failures in a row that a good probe has explained by the requests. */
  excused: number
}

/** `idle`: its memory was given up, and the next request loads it. */
export const slotStates = ['loading', 'ready', 'idle', 'failed'] as const
export type SlotState = (typeof slotStates)[number]

const firstRetryMs = 2000
const lastRetryMs = 60_000
/** What may pass without anybody changing the deployment. */
const passing: ReadonlySet<string> = new Set(['unavailable', 'storage_full', 'internal'])

export function createSlot(row: DeploymentVersionRow): Slot {
  return {
    row,
    loaded: undefined,
    served: undefined,
    gate: undefined,
    known: undefined,
    loading: undefined,
    failure: undefined,
    health: freshHealth(),
  }
}

export function freshHealth(): Health {
  return { error: undefined, probing: false, excused: 0, seenAt: performance.now() }
}

/** Keeps the error of a load, and when to try again. */
export function recordFailure(slot: Slot, error: unknown): void {
  const tries = (slot.failure?.tries ?? 0) + 1
  const code = error instanceof HastenError ? error.code : 'internal'
  const waitMs = passing.has(code) ? Math.min(lastRetryMs, firstRetryMs * 2 ** (tries - 1)) : Infinity
  slot.failure = { error: serializeError(error), tries, retryAt: performance.now() + waitMs }
}

export function stateOf({ served, loaded, loading, failure, health }: Slot): SlotState {
  if (loaded !== undefined) return health.error === undefined ? 'ready' : 'failed'
  // A version that loads again answers as soon as it can: to those who ask it is still idle.
  if (served !== undefined && failure === undefined) return 'idle'
  return loading === undefined && failure !== undefined ? 'failed' : 'loading'
}

/** Why it does not work. */
export function errorOf({ loaded, failure, health }: Slot): SerializedError | undefined {
  return loaded === undefined ? failure?.error : health.error
}

/**
 * What answers requests, at once or after it was loaded again; undefined when nothing does. A wrong answer is worse than
 * none, and a slow or failing one is not.
 */
export function answering(slot: Slot): ServedVersion | undefined {
  if (slot.loaded === undefined) return stateOf(slot) === 'idle' ? slot.served : undefined
  return isWrong(slot) ? undefined : slot.served
}

/** It was seen to answer otherwise than it should. */
export function isWrong({ health }: Slot): boolean {
  return health.error?.code === 'golden_mismatch'
}
