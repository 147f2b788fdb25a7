import type { RunOptions } from '../../engine/serving.ts'
import type { LaneCore } from './core.ts'

/** From here on it pays that the thread is always the same, although it takes 15 µs longer to reach. */
const longRunMs = 0.25

/** From here on what a core waits for the event loop is nothing, but a deadline that passes in native code is noticed late. */
const veryLongRunMs = 50

/** Whether a run may be handed over before there is a core for it: not where others bound it, and by what runs took. */
export function mayRunAhead({ latency, options }: LaneCore): boolean {
  const { batching, maxInFlight, slots } = options
  if (batching !== undefined || maxInFlight < slots.total) return false
  const runMs = latency.predict(1)
  return runMs >= longRunMs && runMs < veryLongRunMs
}

/** The thread of a run that has its slot. One alone is on whichever core is free, and any thread will do. */
export function threadFor(core: LaneCore, rows: number, isInline = false): NonNullable<RunOptions['thread']> {
  if (isInline) return 'caller'
  return core.options.slots.taken > 1 && core.latency.predict(rows) >= longRunMs ? 'own' : 'pool'
}
