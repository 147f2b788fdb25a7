import { describe, expect, test } from 'vitest'
import { createRandom, sampleInteger } from '../../../src/engine/data/random.ts'
import { measureReverts, selectChanges, type Choosable } from '../../../src/engine/search/index.ts'

function total(items: readonly Choosable[], chosen: readonly number[], key: keyof Choosable): number {
  return chosen.reduce((sum, index) => sum + items[index]![key], 0)
}

/** The most that any subset within the budget gains. */
function bruteForce(items: readonly Choosable[], budget: number): number {
  let best = 0
  for (let subset = 0; subset < 2 ** items.length; subset += 1) {
    const chosen = [...items.keys()].filter((index) => (subset >> index) & 1)
    if (total(items, chosen, 'loss') <= budget) best = Math.max(best, total(items, chosen, 'gain'))
  }
  return best
}

describe('selectChanges', () => {
  test.each(Array.from({ length: 40 }, (_, seed) => seed))(
    'gains as much as the best of all subsets (table %i)',
    (seed) => {
      const random = createRandom(seed)
      // Whole thousandths of the budget, so that rounding changes nothing.
      const budget = 1000
      const items = Array.from({ length: 1 + sampleInteger(random, 9) }, () => ({
        gain: sampleInteger(random, 100),
        loss: sampleInteger(random, 700),
      }))
      const chosen = selectChanges(items, budget)
      expect(total(items, chosen, 'loss')).toBeLessThanOrEqual(budget)
      expect(total(items, chosen, 'gain')).toBe(bruteForce(items, budget))
      expect(chosen).toEqual([...new Set(chosen)].toSorted((a, b) => a - b))
    },
  )

  test('never spends more than the budget, whatever the losses', () => {
    const random = createRandom(7)
    const items = Array.from({ length: 60 }, () => ({ gain: random(), loss: random() * 0.01 }))
    expect(total(items, selectChanges(items, 0.05), 'loss')).toBeLessThanOrEqual(0.05)
  })

  test('without a budget keeps what costs nothing', () => {
    const items = [
      { gain: 5, loss: 0.1 },
      { gain: 1, loss: 0 },
      { gain: 2, loss: 1e-12 },
    ]
    expect(selectChanges(items, 0)).toEqual([1])
    expect(selectChanges([], 1)).toEqual([])
  })
})

describe('measureReverts', () => {
  const options = { signal: new AbortController().signal, progress: () => undefined }

  test('ranks by what each takes off the loss, and tells how far it is', async () => {
    const losses: Record<string, number> = { a: 0.5, b: 0.1, c: 0.7 }
    const progress: string[] = []
    const ranked = await measureReverts(['a', 'b', 'c'], 0.6, async (item) => losses[item]!, {
      ...options,
      progress: (done, all) => progress.push(`${done}/${all}`),
    })
    expect(ranked.map(({ item }) => item)).toEqual(['b', 'a', 'c'])
    expect(ranked[2]!.relief).toBeCloseTo(-0.1)
    expect(progress).toEqual(['1/3', '2/3', '3/3'])
  })

  test('ends at an abort, before the next measurement', async () => {
    const stop = new AbortController()
    const asked: string[] = []
    const measure = async (item: string) => {
      asked.push(item)
      stop.abort(new Error('enough'))
      return 0
    }
    await expect(measureReverts(['a', 'b'], 1, measure, { ...options, signal: stop.signal })).rejects.toThrow('enough')
    expect(asked).toEqual(['a'])
  })
})
