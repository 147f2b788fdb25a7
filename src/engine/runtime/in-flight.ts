import { HastenError } from '../../errors.ts'

/** Counts the uses of something that must be freed only after the last of them has ended. */
export interface InFlight {
  /**
   * Runs `task` as a use.
   * @throws what `refuse` makes, once closed.
   */
  use<Result>(task: () => Promise<Result>): Promise<Result>
  /** Refuses further uses, waits for the last one, then calls `free` once; later calls share its promise. */
  close(): Promise<void>
}

/** @param refuse makes the error of a use after `close` */
export function trackInFlight(refuse: () => Error, free: () => Promise<void>): InFlight {
  const idle = Promise.withResolvers<void>()
  let active = 0
  let closing: Promise<void> | undefined
  return {
    async use(task) {
      if (closing !== undefined) throw refuse()
      active += 1
      try {
        return await task()
      } finally {
        active -= 1
        if (active === 0 && closing !== undefined) idle.resolve()
      }
    },
    close() {
      if (active === 0) idle.resolve()
      closing ??= idle.promise.then(free)
      return closing
    },
  }
}

/** The error of a run on a released session. */
export function releasedError(): HastenError {
  return new HastenError('run_failed', 'the session was released and cannot run any more')
}

/** The error of a load on a closed runtime. */
export function closedError(): HastenError {
  return new HastenError('model_load_failed', 'the runtime was closed and loads no more models')
}
