import { HastenError } from '../../errors.ts'

/** Bounds how many tasks are in flight. The rest wait in order of arrival; one that stops waiting holds no place. */
export interface RunLimit {
  /** Runs `task` when a place is free. An abort while waiting rejects with the signal's reason. */
  run<Result>(task: () => Promise<Result>, signal?: AbortSignal): Promise<Result>
  readonly active: number
  readonly waiting: number
}

/**
 * @param max tasks in flight at once, from 1
 * @throws HastenError `config_invalid` for a limit that would let nothing begin
 */
export function limitRuns(max: number): RunLimit {
  if (!(max >= 1)) throw new HastenError('config_invalid', `runs in flight must be at least 1, got ${max}`)
  const queue = new Set<() => void>()
  let active = 0

  const leave = (): void => {
    const [next] = queue
    // A place is handed over rather than freed, so that nobody who comes meanwhile can jump the queue.
    if (next === undefined) active -= 1
    else next()
  }
  const enter = (signal?: AbortSignal): Promise<void> | undefined => {
    if (active < max) {
      active += 1
      return undefined
    }
    return waitInQueue(queue, signal)
  }
  return {
    get active() {
      return active
    },
    get waiting() {
      return queue.size
    },
    async run(task, signal) {
      signal?.throwIfAborted()
      await enter(signal)
      try {
        return await task()
      } finally {
        leave()
      }
    },
  }
}

function waitInQueue(queue: Set<() => void>, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const proceed = (): void => {
      queue.delete(proceed)
      signal?.removeEventListener('abort', give)
      resolve()
    }
    const give = (): void => {
      queue.delete(proceed)
      reject(signal?.reason as Error)
    }
    queue.add(proceed)
    signal?.addEventListener('abort', give, { once: true })
  })
}
