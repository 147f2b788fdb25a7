import type { Lane } from '../scheduler/lane.ts'

/** Between two looks whether the lane has time to spare. */
const recheckMs = 20
/** A copy may run beside requests for one part in so many of the time: else a server that is never idle compared nothing. */
const besideShare = 20

interface Running {
  readonly abort: AbortController
  readonly startedAt: number
  /** Goes on beside requests, as long as none has to wait. */
  readonly beside: boolean
}

/** Work that is done one after the other while a lane has time for it. */
export interface CopyQueue<Copy> {
  add(copy: Copy): void
  /** Called when the lane has got a request. */
  giveWay(): void
}

/**
 * Runs copies while `lane` is idle; each is ended when a request comes, and runs again later. The few that go on beside a
 * request are ended when one has to wait.
 * @param run false when it was ended by the signal
 */
export function createCopyQueue<Copy>(
  lane: Pick<Lane, 'state'>,
  run: (copy: Copy, signal: AbortSignal) => Promise<boolean>,
): CopyQueue<Copy> {
  const waiting: Copy[] = []
  let running: Running | undefined
  let besideAt = 0
  /** After giving way: in a moment the next request will be there. */
  let quietAt = 0
  let recheck: NodeJS.Timeout | undefined

  function pump(): void {
    const now = performance.now()
    if (running !== undefined || waiting.length === 0) return
    const { queued, inFlight } = lane.state()
    const beside = now >= besideAt
    if (queued > 0 || !(beside || (inFlight === 0 && now >= quietAt))) return lookLater()
    const copy = waiting.shift()
    if (copy !== undefined) void start(copy, { abort: new AbortController(), startedAt: now, beside })
  }

  function lookLater(): void {
    recheck ??= setTimeout(() => {
      recheck = undefined
      pump()
    }, recheckMs).unref()
  }

  async function start(copy: Copy, current: Running): Promise<void> {
    running = current
    const isDone = await run(copy, current.abort.signal)
    running = undefined
    const now = performance.now()
    if (current.beside) besideAt = now + (now - current.startedAt) * (besideShare - 1)
    if (!isDone) {
      quietAt = now + recheckMs
      waiting.unshift(copy)
    }
    pump()
  }

  return {
    add(copy) {
      waiting.push(copy)
      // After the answer, which goes first.
      setImmediate(pump)
    },
    giveWay() {
      if (running === undefined) return
      if (!running.beside) return running.abort.abort()
      // At the end of this turn, when a lane that batches has started what it can.
      setImmediate(() => lane.state().queued > 0 && running?.abort.abort())
    },
  }
}
