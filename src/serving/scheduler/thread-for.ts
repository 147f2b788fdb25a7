import type { RunOptions } from '../../engine/serving.ts'
import type { LaneCore } from './core.ts'

/** From here on it pays that the thread is always the same, although it takes 15 µs longer to reach. */
const ownThreadMs = 0.25

/** The thread of a run of so many rows, by what such runs took. */
export function threadFor({ latency }: LaneCore, rows: number, isInline = false): NonNullable<RunOptions['thread']> {
  if (isInline) return 'caller'
  return latency.predict(rows) >= ownThreadMs ? 'own' : 'pool'
}
