/** Keeps the event loop awake between runs that follow each other closely. */
export interface IdlePoll {
  /** The last run has ended. */
  rest(): void
  /** A run is about to start. */
  wake(): void
}

/** So many short pauses one after the other, and the next is expected to be short too. */
const shortPauses = 8

interface Clock {
  now(): number
  /** Calls once the event loop has looked for input, without having waited for any. */
  nextTurn(call: () => void): void
}

const realClock: Clock = { now: () => performance.now(), nextTurn: (call) => setImmediate(call) }

/**
 * A core with nothing to do falls asleep, and to wake it takes as long as a small prediction: 35 µs on a virtual machine.
 * So the event loop goes on looking for input for up to `windowMs` after a run, as a guest's idle loop does (Linux,
 * `haltpoll`). Only where pauses have been shorter than that for a while, since sparse traffic is not worth a core, and
 * only between runs, never while one of them needs the core.
 */
export function createIdlePoll(windowMs: number, clock: Clock = realClock): IdlePoll {
  let restingSince: number | undefined
  let pauses = 0
  let isLooking = false
  const look = () => {
    isLooking = restingSince !== undefined && clock.now() - restingSince < windowMs
    if (isLooking) clock.nextTurn(look)
  }
  return {
    rest() {
      restingSince = clock.now()
      if (pauses < shortPauses || isLooking) return
      isLooking = true
      clock.nextTurn(look)
    },
    wake() {
      if (restingSince === undefined) return
      pauses = clock.now() - restingSince < windowMs ? pauses + 1 : 0
      restingSince = undefined
    },
  }
}
