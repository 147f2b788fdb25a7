/** Lets work go one at a time, in the order in which it came. */
export interface Turns {
  /** Resolves, when all before have ended, with what ends this turn. */
  take(): Promise<() => void>
}

export function createTurns(): Turns {
  let last = Promise.resolve()
  return {
    async take() {
      const before = last
      const { promise, resolve } = Promise.withResolvers<void>()
      last = promise
      await before
      return resolve
    },
  }
}
