import type { ArtifactCache } from '../../storage/index.ts'
import type { Runtime } from '../../engine/serving.ts'
import type { Entry } from './entry.ts'
import { makeIdle, retire, startLoad, type Lifecycle } from './lifecycle.ts'
import { createMemory, heldVersions, unusedVersions } from './memory.ts'
import { createSessionPool } from './sessions.ts'
import { answering, createSlot, recordFailure } from './slot.ts'
import { wantedVersions } from './wanted.ts'

/** Loads at a time that no request waits for: each takes a core and the memory of a model. */
const maxLoads = 2

/** Brings entries to the versions they want, in the background. */
export interface Loader {
  /** Starts and lets go of what `entry` needs now. */
  advance(entry: Entry): void
  /** Frees what has not been used for long, what is beyond the bound, and what crashes servers. */
  tidy(): void
  /** Bytes of the models in memory. */
  bytes(): number
  /** Loads so far, by what came of them. */
  counts(): Readonly<Lifecycle['counts']>
  /** Gives up loading and lets the versions end their requests. */
  dispose(entry: Entry): void
  /** Resolves when everything that was given up has been freed. */
  settled(): Promise<void>
}

interface LoaderDeps extends Omit<Lifecycle['deps'], 'sessions'> {
  readonly cache: ArtifactCache
  readonly runtime: Runtime
  readonly entries: ReadonlyMap<string, Entry>
  /** Bytes of models that may be loaded; no bound when undefined. */
  readonly maxBytes?: number | undefined
}

export function createLoader(deps: LoaderDeps, changed: () => void): Loader {
  const { cache, runtime, entries, maxBytes } = deps
  const memory = createMemory({
    entries,
    maxBytes,
    bytes: () => sessions.bytes(),
    evict: (entry, slot) => makeIdle(life, entry, slot),
  })
  const sessions = createSessionPool({ cache, runtime, makeRoom: async (bytes) => memory.makeRoom(bytes) })
  const life: Lifecycle = {
    deps: { ...deps, sessions },
    changed,
    loads: new Set(),
    retirements: new Set(),
    counts: { loaded: 0, failed: 0 },
    // At once: what it replaces holds memory.
    ready: (entry) => advance(life, entry),
  }
  return {
    advance: (entry) => advance(life, entry),
    tidy() {
      refuseCrashing(life, entries)
      for (const { entry, slot } of unusedVersions(entries)) void makeIdle(life, entry, slot)
      void memory.makeRoom(0)
    },
    bytes: () => sessions.bytes(),
    counts: () => life.counts,
    dispose(entry) {
      entry.disposed = true
      for (const slot of entry.slots.values()) retire(life, entry, slot)
    },
    async settled() {
      const { loads, retirements } = life
      // A load that was given up may still have something to retire.
      while (loads.size + retirements.size > 0) await Promise.all([...loads, ...retirements])
    },
  }
}

/** Lets go of what this process has loaded, and crashed others of this host. */
function refuseCrashing(life: Lifecycle, entries: ReadonlyMap<string, Entry>): void {
  const { guard } = life.deps
  if (guard === undefined || !guard.refusesAny()) return
  for (const { entry, slot } of heldVersions(entries)) {
    try {
      guard.check(entry.row.id, slot.row.version)
    } catch (error) {
      recordFailure(slot, error)
      void makeIdle(life, entry, slot)
    }
  }
}

function advance(life: Lifecycle, entry: Entry): void {
  if (entry.disposed) return
  if (!entry.row.loaded) life.deps.guard?.forget(entry.row.id)
  const { active } = entry.row
  if (isAnswering(entry, active)) entry.serving = active
  const wanted = new Set(wantedVersions(entry.row))
  // Until the active version answers, the one before it goes on.
  const { serving } = entry
  if (wanted.has(active) && serving !== undefined && isAnswering(entry, serving)) wanted.add(serving)
  for (const [version, slot] of entry.slots) if (!wanted.has(version)) retire(life, entry, slot)
  for (const version of wanted) ensureLoaded(life, entry, version)
}

function isAnswering({ slots }: Entry, version: number): boolean {
  const slot = slots.get(version)
  return slot !== undefined && answering(slot) !== undefined
}

function ensureLoaded(life: Lifecycle, entry: Entry, version: number): void {
  const slot = entry.slots.get(version) ?? addSlot(entry, version)
  if (slot === undefined || slot.loading !== undefined || answering(slot) !== undefined) return
  if (slot.failure !== undefined && slot.failure.retryAt > performance.now()) return
  if (life.loads.size < maxLoads) void startLoad(life, entry, slot)
}

function addSlot({ row, slots }: Entry, version: number) {
  const found = row.versions.find((each) => each.version === version)
  if (found === undefined) return undefined
  const slot = createSlot(found)
  slots.set(version, slot)
  return slot
}
