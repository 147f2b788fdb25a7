import type { IdlePoll } from './idle-poll.ts'

/**
 * How many runs a process has in flight, over all lanes: each holds a native thread, and more of them than cores
 * only make every one slower.
 */
export interface RunSlots {
  readonly total: number
  /** Runs in flight. */
  readonly taken: number
  take(): boolean
  /**
   * Takes one beyond the total, for a run that waits in native code until one of the others has ended: its thread goes on at
   * once, where the event loop would take its time. Only when no other lane waits for a slot.
   */
  takeSpare(wake: () => void): boolean
  /** Gives one back, whichever that was. */
  give(): void
  /** Calls `wake` once when a slot is free; lanes are woken in the order they asked. */
  await(wake: () => void): void
}

export interface RunSlotsOptions {
  /** Slots beyond the total: how many runs the runtime lets wait for its own threads. */
  readonly spare?: number
  /** Told when all slots are free, and when one no longer is. */
  readonly poll?: IdlePoll | undefined
}

export function createRunSlots(total: number, { spare = 0, poll }: RunSlotsOptions = {}): RunSlots {
  let taken = 0
  const waiting = new Set<() => void>()
  return {
    total,
    get taken() {
      return taken
    },
    take() {
      if (taken >= total) return false
      if (taken === 0) poll?.wake()
      taken++
      return true
    },
    takeSpare(wake) {
      const others = waiting.size - (waiting.has(wake) ? 1 : 0)
      if (taken < total || taken >= total + spare || others > 0) return false
      taken++
      return true
    },
    give() {
      taken--
      // A lane may have nothing to run any more; then the slot is the next one's.
      for (const wake of waiting) {
        if (taken >= total) return
        waiting.delete(wake)
        wake()
      }
      if (taken === 0) poll?.rest()
    },
    await: (wake) => waiting.add(wake),
  }
}
