import type { HostInventory } from './hosts/types.ts'

/** A place for one job on this host and the device it owns while it is there. */
export interface Slot {
  readonly index: number
  /** Logical CPUs of its own; undefined when the host can't pin. */
  readonly cpus: readonly number[] | undefined
  /** Index of its GPU. */
  readonly gpu: number | undefined
}

/**
 * Splits a host's usable CPUs into equal sets, one for each slot, and gives each GPU to one slot. More slots than CPUs
 * leave the slots unpinned: sets that overlap would only look like isolation.
 */
export function planSlots(inventory: HostInventory, count: number): Slot[] {
  const { affinity, cores } = inventory.cpu
  const share = Math.floor(Math.min(cores, affinity.length) / count)
  const pinned = inventory.pinning !== 'none' && share > 0
  return Array.from({ length: count }, (_, index) => ({
    index,
    cpus: pinned ? affinity.slice(index * share, (index + 1) * share) : undefined,
    gpu: inventory.devices.includes('cuda') ? inventory.gpus[index]?.index : undefined,
  }))
}

export interface SlotPool {
  /** A free slot; with `needsGpu` one that owns a GPU, else preferably one that doesn't. Undefined when none is free. */
  take(needsGpu: boolean): Slot | undefined
  giveBack(slot: Slot): void
  readonly busy: number
}

export function createSlotPool(slots: readonly Slot[]): SlotPool {
  const free = new Set(slots)
  return {
    take(needsGpu) {
      const wanted = [...free].filter((slot) => !needsGpu || slot.gpu !== undefined)
      const slot = needsGpu ? wanted[0] : (wanted.find(({ gpu }) => gpu === undefined) ?? wanted[0])
      if (slot !== undefined) free.delete(slot)
      return slot
    },
    giveBack(slot) {
      free.add(slot)
    },
    get busy() {
      return slots.length - free.size
    },
  }
}
