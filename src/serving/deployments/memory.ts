import { HastenError } from '../../errors.ts'
import type { Entry } from './entry.ts'
import type { Slot } from './slot.ts'

interface Held {
  readonly entry: Entry
  readonly slot: Slot
}

interface MemoryOptions {
  readonly entries: ReadonlyMap<string, Entry>
  /** Bytes of models that may be loaded; no bound when undefined. */
  readonly maxBytes: number | undefined
  /** Bytes that are loaded now, those about to be included. */
  readonly bytes: () => number
  /** Resolves when the memory has been freed. */
  readonly evict: (entry: Entry, slot: Slot) => Promise<void>
}

/** Keeps what is loaded within the bound. */
export interface Memory {
  /**
   * Unloads the least recently used versions until what is loaded, `needed` bytes of it new, is within the bound. What
   * runs stays, so that the bound may be exceeded until it has ended.
   * @throws HastenError `model_out_of_memory` for a model that is too large by itself
   */
  makeRoom(needed: number): Promise<void>
}

export function createMemory({ entries, maxBytes, bytes, evict }: MemoryOptions): Memory {
  // One at a time: what is being freed still counts, and must not cost a second version its place.
  let turn = Promise.resolve()
  const shrink = async (most: number) => {
    while (bytes() > most) {
      const victim = leastRecentlyUsed(entries)
      if (victim === undefined) return
      await evict(victim.entry, victim.slot)
    }
  }
  return {
    async makeRoom(needed) {
      if (maxBytes === undefined) return
      if (needed > maxBytes) throw tooLarge(needed, maxBytes)
      turn = turn.then(() => shrink(maxBytes))
      await turn
    },
  }
}

function tooLarge(needed: number, maxBytes: number): HastenError {
  return new HastenError('model_out_of_memory', `the model has ${needed} bytes, and models may have ${maxBytes} here`, {
    hint: 'Raise SERVE_MEMORY_BYTES, or make the model smaller.',
  })
}

function leastRecentlyUsed(entries: ReadonlyMap<string, Entry>): Held | undefined {
  const unused = heldVersions(entries).filter(({ slot }) => slot.gate?.busy() === 0)
  const usedAt = ({ slot }: Held) => slot.gate?.usedAt() ?? 0
  return unused.reduce<Held | undefined>(
    (oldest, held) => (oldest === undefined || usedAt(held) < usedAt(oldest) ? held : oldest),
    undefined,
  )
}

/** Versions that nobody has asked for as long as their options say. */
export function unusedVersions(entries: ReadonlyMap<string, Entry>): readonly Held[] {
  const now = performance.now()
  return heldVersions(entries).filter(({ slot: { loaded, gate } }) => {
    const { idleUnloadMs = Infinity } = loaded?.options ?? {}
    return gate !== undefined && gate.busy() === 0 && now - gate.usedAt() >= idleUnloadMs
  })
}

/** Versions that are in memory. */
export function heldVersions(entries: ReadonlyMap<string, Entry>): Held[] {
  const held: Held[] = []
  for (const entry of entries.values()) {
    for (const slot of entry.slots.values()) if (slot.loaded !== undefined) held.push({ entry, slot })
  }
  return held
}
