import { setImmediate } from 'node:timers/promises'
import { HastenError } from '../../errors.ts'
import type { Logger } from '../../telemetry.ts'
import type { ServedVersion } from '../served-version.ts'
import { createStatistics } from '../statistics.ts'
import type { Entry } from './entry.ts'
import { createGate, type Gate } from './gate.ts'
import { loadVersion, type LoadDeps, type LoadedVersion } from './load-version.ts'
import { freshHealth, recordFailure, type Slot } from './slot.ts'

/** What loading and freeing share. */
export interface Lifecycle {
  readonly deps: LoadDeps & { readonly logger: Logger }
  readonly loads: Set<Promise<void>>
  readonly retirements: Set<Promise<void>>
  /** Loads since the process started. */
  readonly counts: { loaded: number; failed: number }
  /** Called when something has come of a load, or has been freed. */
  readonly changed: () => void
  /** Called when a version has become ready. */
  readonly ready: (entry: Entry) => void
}

/** Loads a version in the background; the promise resolves also when it failed. */
export function startLoad(life: Lifecycle, entry: Entry, slot: Slot): Promise<void> {
  const abort = new AbortController()
  const done = track(life, life.loads, load(life, entry, slot, abort.signal))
  slot.loading = { abort, done }
  return done
}

async function load(life: Lifecycle, entry: Entry, slot: Slot, signal: AbortSignal): Promise<void> {
  const { deps } = life
  const labels = labelsOf(entry, slot)
  const startedAt = performance.now()
  try {
    const { loaded, known } = await loadVersion(deps, entry.row, slot.row, { signal, known: slot.known })
    if (signal.aborted) return void free(life, labels, loaded)
    slot.loading = undefined
    slot.known = known
    life.counts.loaded++
    adopt(life, entry, slot, loaded)
    deps.logger.info({ ...labels, tookMs: Math.round(performance.now() - startedAt) }, 'version ready')
    life.ready(entry)
  } catch (error) {
    if (signal.aborted) return
    slot.loading = undefined
    recordFailure(slot, error)
    life.counts.failed++
    deps.logger.warn({ ...labels, err: error }, 'version failed')
  }
}

function adopt(life: Lifecycle, entry: Entry, slot: Slot, loaded: LoadedVersion): void {
  const { options } = loaded
  // One that answered wrong, and is replaced by itself.
  if (slot.loaded !== undefined) void free(life, labelsOf(entry, slot), slot.loaded)
  const { maxQueue } = options
  const gate = slot.gate ?? createGate({ maxQueue, load: () => loadNow(life, entry, slot) })
  gate.open(loaded.lane)
  // Statistics and identity outlive the memory.
  const served = slot.served ?? servedVersion(entry, slot, loaded, gate)
  Object.assign(slot, { gate, served, loaded, failure: undefined, health: freshHealth() })
}

/** For a request that waits. */
async function loadNow(life: Lifecycle, entry: Entry, slot: Slot): Promise<void> {
  const isHeld = () => entry.slots.get(slot.row.version) === slot
  if (isHeld() && slot.loaded === undefined) await (slot.loading?.done ?? startLoad(life, entry, slot))
  if (slot.loaded !== undefined) return
  const { detail, hint } = slot.failure?.error ?? { detail: 'this version is being replaced' }
  throw new HastenError('deployment_not_ready', detail, { retryAfter: 1, ...(hint === undefined ? {} : { hint }) })
}

/** Frees the memory of a version that nobody uses now; the next request loads it again. */
export function makeIdle(life: Lifecycle, entry: Entry, slot: Slot): Promise<void> {
  const { loaded, gate } = slot
  if (loaded === undefined) return Promise.resolve()
  slot.loaded = undefined
  gate?.close()
  return free(life, labelsOf(entry, slot), loaded)
}

/** Lets go of a version: it ends the requests it has, also those that wait for it to be loaded, and is freed then. */
export function retire(life: Lifecycle, entry: Entry, slot: Slot): void {
  entry.slots.delete(slot.row.version)
  const isAwaited = slot.loading !== undefined && slot.gate !== undefined && slot.gate.busy() > 0
  if (!isAwaited) slot.loading?.abort.abort()
  if (!isAwaited && slot.loaded === undefined) return
  entry.retiring.add(slot)
  const ended = track(life, life.retirements, end(life, entry, slot))
  void ended.then(() => entry.retiring.delete(slot))
}

async function end(life: Lifecycle, entry: Entry, slot: Slot): Promise<void> {
  if (slot.loading !== undefined) {
    await slot.loading.done
    // Those that waited get into the lane first, which takes no more once it is told to end.
    await setImmediate()
  }
  if (slot.loaded !== undefined) await free(life, labelsOf(entry, slot), slot.loaded)
}

function free(life: Lifecycle, labels: object, loaded: LoadedVersion): Promise<void> {
  const failed = (error: unknown) => life.deps.logger.error({ err: error, ...labels }, 'version not unloaded')
  return track(life, life.retirements, loaded.retire().catch(failed))
}

function track({ changed }: Lifecycle, set: Set<Promise<void>>, work: Promise<void>): Promise<void> {
  const tracked = work.finally(() => {
    set.delete(tracked)
    changed()
  })
  set.add(tracked)
  return tracked
}

function labelsOf({ row }: Entry, slot: Slot): { model: string; version: number } {
  return { model: row.name, version: slot.row.version }
}

function servedVersion(
  { row: { id: deployment, name, project } }: Entry,
  { row: { version } }: Slot,
  { inputs, outputs, options }: LoadedVersion,
  { lane }: Gate,
): ServedVersion {
  const { maxInFlight: instances, batching } = options
  const statistics = createStatistics()
  return { deployment, name, version: String(version), project, inputs, outputs, instances, batching, lane, statistics }
}
