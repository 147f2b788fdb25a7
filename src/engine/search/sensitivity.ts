/** What taking one change back does to the loss of a model that has all of them. */
export interface Sensitivity<T> {
  readonly item: T
  /** Loss of the model without this change. */
  readonly lossWithout: number
  /** How much of the loss goes away with it; negative where it got worse. */
  readonly relief: number
}

export interface SensitivityOptions {
  readonly signal: AbortSignal
  readonly progress: (done: number, total: number) => void
}

/**
 * One-at-a-time reverts: measures the loss without each change in turn. Deterministic as long as the loss is.
 * @param loss of the model with all changes
 * @returns the most sensitive first; equals in the order given
 */
export async function measureReverts<T>(
  items: readonly T[],
  loss: number,
  measureWithout: (item: T) => Promise<number>,
  { signal, progress }: SensitivityOptions,
): Promise<Sensitivity<T>[]> {
  const results: Sensitivity<T>[] = []
  for (const item of items) {
    signal.throwIfAborted()
    const lossWithout = await measureWithout(item)
    results.push({ item, lossWithout, relief: loss - lossWithout })
    progress(results.length, items.length)
  }
  return results.toSorted((a, b) => b.relief - a.relief)
}
