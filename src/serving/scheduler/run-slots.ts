/**
 * How many runs a process has in flight, over all lanes: each holds a native thread, and more of them than cores
 * only make every one slower.
 */
export interface RunSlots {
  take(): boolean
  give(): void
  /** Calls `wake` once when a slot is free; lanes are woken in the order they asked. */
  await(wake: () => void): void
}

export function createRunSlots(total: number): RunSlots {
  let free = total
  const waiting = new Set<() => void>()
  return {
    take() {
      if (free === 0) return false
      free--
      return true
    },
    give() {
      free++
      // A lane may have nothing to run any more; then the slot is the next one's.
      for (const wake of waiting) {
        if (free === 0) return
        waiting.delete(wake)
        wake()
      }
    },
    await: (wake) => waiting.add(wake),
  }
}
