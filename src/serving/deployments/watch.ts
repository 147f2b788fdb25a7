import { HastenError } from '../../errors.ts'

/** Waits for what the loop brings about. */
export interface Watch {
  /**
   * Resolves when `isDone` holds at a look.
   * @throws HastenError `unavailable` after `patienceMs`, or when the loop ends
   */
  until(patienceMs: number, isDone: () => boolean): Promise<void>
  look(): void
  end(): void
}

interface Waiter {
  readonly isDone: () => boolean
  readonly resolve: () => void
  readonly reject: (error: HastenError) => void
}

export function createWatch(): Watch {
  const waiters = new Set<Waiter>()
  return {
    until: (patienceMs, isDone) =>
      new Promise((resolve, reject) => {
        const waiter = {
          isDone,
          resolve: () => settle(resolve),
          reject: (error: HastenError) => settle(() => reject(error)),
        }
        const settle = (how: () => void) => {
          clearTimeout(timer)
          waiters.delete(waiter)
          how()
        }
        const late = () =>
          waiter.reject(new HastenError('unavailable', 'it takes long, and goes on', { retryAfter: 10 }))
        const timer = setTimeout(late, patienceMs)
        waiters.add(waiter)
      }),
    look() {
      for (const { isDone, resolve } of waiters) if (isDone()) resolve()
    },
    end() {
      for (const { reject } of waiters) reject(new HastenError('unavailable', 'the server is shutting down'))
    },
  }
}
