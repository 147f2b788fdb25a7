import { HastenError } from '../../errors.ts'
import type { Lane, LaneRequest, LaneResult } from '../scheduler/lane.ts'

/**
 * The lane that requests see of a version, in front of that of the session in memory. While there is none, requests
 * have it loaded and wait.
 */
export interface Gate {
  readonly lane: Lane
  /** `performance.now()` of the last request. */
  usedAt(): number
  open(lane: Lane): void
  /** From now on requests wait for another `open`. */
  close(): void
  /** Requests that wait for the load, wait for a run, or run. */
  busy(): number
}

export interface GateOptions {
  /** Requests that may wait for the load. */
  readonly maxQueue: number
  /**
   * Loads the version; it has called `open` when it resolves.
   * @throws HastenError `deployment_not_ready`
   */
  readonly load: () => Promise<void>
}

const nobody = { queued: 0, inFlight: 0, runMs: 0, oldestRunMs: 0, failuresInRow: 0 }

export function createGate({ maxQueue, load }: GateOptions): Gate {
  let current: Lane | undefined
  let waiting = 0
  let usedAt = performance.now()

  const fullness = () => {
    if (waiting < maxQueue) return undefined
    return new HastenError('overloaded', `${waiting} requests wait for the model to be loaded`, { retryAfter: 1 })
  }
  const submitCold = async (request: LaneRequest): Promise<LaneResult> => {
    const full = fullness()
    if (full !== undefined) throw full
    const startedAt = performance.now()
    waiting++
    try {
      await withinRequest(load(), request)
    } finally {
      waiting--
    }
    if (current === undefined) throw new HastenError('deployment_not_ready', 'it was unloaded again', { retryAfter: 1 })
    const waitedMs = performance.now() - startedAt
    const result = await current.submit(request)
    return { ...result, queueMs: result.queueMs + waitedMs }
  }
  const state = () => {
    const inner = current?.state() ?? nobody
    return { ...inner, queued: inner.queued + waiting }
  }
  return {
    lane: {
      submit(request) {
        usedAt = performance.now()
        return current === undefined ? submitCold(request) : current.submit(request)
      },
      overload: () => (current === undefined ? fullness() : current.overload()),
      state,
      drain: async () => current?.drain(),
    },
    usedAt: () => usedAt,
    open: (lane) => void (current = lane),
    close: () => void (current = undefined),
    busy: () => state().queued + state().inFlight,
  }
}

/** Waits no longer than anybody wants the answer. */
async function withinRequest(work: Promise<void>, { signal, deadlineAt }: LaneRequest): Promise<void> {
  const { promise: given, reject } = Promise.withResolvers<never>()
  const cancel = () => reject(new HastenError('run_canceled', 'the client went away while the model was loaded'))
  const expire = () => reject(new HastenError('run_deadline', 'the deadline passed while the model was loaded'))
  signal.addEventListener('abort', cancel, { once: true })
  if (signal.aborted) cancel()
  const timer = deadlineAt === undefined ? undefined : setTimeout(expire, deadlineAt - performance.now())
  try {
    await Promise.race([work, given])
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', cancel)
  }
}
