/** At most `limit` pieces of work at once; the rest wait in order. */
export function createLimiter(limit: number): <T>(work: () => Promise<T>) => Promise<T> {
  const waiting: (() => void)[] = []
  let active = 0
  return async (work) => {
    if (active >= limit) await new Promise<void>((resolve) => waiting.push(resolve))
    else active += 1
    try {
      return await work()
    } finally {
      const next = waiting.shift()
      // The place goes to the next in line without being free in between.
      if (next === undefined) active -= 1
      else next()
    }
  }
}
