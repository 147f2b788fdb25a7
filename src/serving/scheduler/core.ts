import type { Arrivals } from './arrivals.ts'
import type { BatchBuffers } from './batch-tensors.ts'
import type { InlineChoice } from './inline-choice.ts'
import type { LaneOptions } from './lane.ts'
import type { LatencyModel } from './latency-model.ts'
import type { TicketQueue } from './queue.ts'

/** The state of a lane, for the functions that make it up. */
export interface LaneCore {
  readonly options: LaneOptions
  readonly queue: TicketQueue
  /** When each run in flight started. */
  readonly runs: Set<{ readonly at: number }>
  readonly latency: LatencyModel
  readonly arrivals: Arrivals
  readonly buffers: BatchBuffers
  readonly inline: InlineChoice
  /** Requests so far. */
  sequence: number
  failuresInRow: number
  /** Called when the lane is empty; undefined while it takes requests. */
  drained: (() => void)[] | undefined
  /** Set while the end of this turn of the event loop is waited for. */
  wakeUp: NodeJS.Immediate | undefined
  /** Ends a wait for more members. */
  hold: NodeJS.Timeout | undefined
  /** One function per lane, so that the slots know it again. */
  readonly pump: () => void
}
