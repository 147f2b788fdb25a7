/** A change that may be kept or taken back: what keeping it gains and what it costs. */
export interface Choosable {
  /** Time saved, in any unit; not negative. */
  readonly gain: number
  /** Quality lost, in the unit of the budget; not negative. */
  readonly loss: number
}

/** Steps that the budget is divided into; losses are rounded up to whole steps, so a selection never overspends. */
const steps = 1000

/**
 * The changes to keep so that they gain most and lose no more than the budget together: the 0/1 knapsack by dynamic
 * programming, exact up to the rounding of losses to a thousandth of the budget. Losses are taken to add up, so whoever
 * asks measures the selection afterwards.
 * @returns indices, ascending
 */
export function selectChanges(items: readonly Choosable[], budget: number): number[] {
  const free = indicesWhere(items, ({ loss }) => loss <= 0)
  const priced = indicesWhere(items, ({ loss }) => loss > 0 && loss <= budget)
  return [...free, ...fillKnapsack(items, priced, budget)].toSorted((a, b) => a - b)
}

function indicesWhere(items: readonly Choosable[], test: (item: Choosable) => boolean): number[] {
  return items.flatMap((item, index) => (test(item) ? [index] : []))
}

function fillKnapsack(items: readonly Choosable[], priced: readonly number[], budget: number): number[] {
  const weights = priced.map((index) => weightOf(items[index]?.loss ?? 0, budget))
  const best = new Float64Array(steps + 1)
  const kept = priced.map(() => new Uint8Array(steps + 1))
  for (const [row, index] of priced.entries()) {
    const weight = weights[row] ?? 0
    const gain = items[index]?.gain ?? 0
    for (let room = steps; room >= weight; room -= 1) {
      const gained = (best[room - weight] ?? 0) + gain
      if (gained <= (best[room] ?? 0)) continue
      best[room] = gained
      const keeps = kept[row]
      if (keeps !== undefined) keeps[room] = 1
    }
  }
  const chosen: number[] = []
  let room = steps
  for (let row = priced.length - 1; row >= 0; row -= 1) {
    const index = priced[row]
    if (index === undefined || kept[row]?.[room] !== 1) continue
    chosen.push(index)
    room -= weights[row] ?? 0
  }
  return chosen
}

/** Rounded up, but not because of the last bits of a division that is exact on paper. */
function weightOf(loss: number, budget: number): number {
  return Math.ceil((loss / budget) * steps - 1e-9)
}
