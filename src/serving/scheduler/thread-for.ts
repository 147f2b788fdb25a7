import type { RunOptions } from '../../engine/serving.ts'
import type { LaneCore } from './core.ts'

/** From here on it pays that the thread is always the same, although it takes 15 µs longer to reach. */
const longRunMs = 0.25

/** Whether a run of so many rows is long, by what such runs took. */
export function isLong({ latency }: LaneCore, rows: number): boolean {
  return latency.predict(rows) >= longRunMs
}

/** The thread of a run that has its slot. One alone is on whichever core is free, and any thread will do. */
export function threadFor(core: LaneCore, rows: number, isInline = false): NonNullable<RunOptions['thread']> {
  if (isInline) return 'caller'
  return core.options.slots.taken > 1 && isLong(core, rows) ? 'own' : 'pool'
}
