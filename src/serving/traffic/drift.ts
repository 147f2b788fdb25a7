import type { DriftFigures, Moments } from '../../storage/index.ts'

export interface DriftWindow {
  add(value: number): void
  figures(): DriftFigures
}

const windowSize = 256

/** Compares the latest answers with the first ones; each window holds 256. */
export function createDriftWindow(size = windowSize): DriftWindow {
  const latest: number[] = []
  const first: number[] = []
  let next = 0
  return {
    add(value) {
      if (first.length < size) first.push(value)
      latest[next] = value
      next = (next + 1) % size
    },
    figures: () => ({ first: momentsOf(first), latest: momentsOf(latest) }),
  }
}

function momentsOf(values: readonly number[]): Moments {
  const sum = values.reduce((total, value) => total + value, 0)
  return { count: values.length, sum, squares: values.reduce((total, value) => total + value * value, 0) }
}
