import type { Atom } from './atoms.ts'
import type { ChannelGroup } from './groups.ts'
import type { UnitScores } from './score-units.ts'

/** How many units of a group go at a time, and how many may. */
export interface Steps {
  /** Units, the least important first. */
  readonly order: readonly Atom[]
  /** How many of `order` can go so that what stays is a multiple of the block, ascending, without 0. */
  readonly counts: readonly number[]
}

function greatestDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestDivisor(b, a % b)
}

/**
 * The numbers of units that leave a multiple of `block` channels. What a layer has over such a multiple can always go;
 * one block, and `least` units, stay.
 */
export function planSteps(group: ChannelGroup, scores: UnitScores, block: number, least: number): Steps {
  const total = group.units.length + group.fixed
  // A head is a block by itself.
  const unitBlock = group.width >= block ? 1 : block / greatestDivisor(block, group.width)
  const fewest = Math.max(1, group.fixed, Math.ceil(least - 1e-9))
  const counts: number[] = []
  for (let kept = Math.floor((total - 1) / unitBlock) * unitBlock; kept >= fewest && kept > 0; kept -= unitBlock)
    counts.push(total - kept)
  const order = group.units.toSorted((a, b) => (scores.get(a) ?? 0) - (scores.get(b) ?? 0) || a - b)
  return { order, counts }
}

/**
 * Removes the same share from every group, rounded down to whole blocks.
 * @param bases how many units each group had when the pruning began
 */
export function chooseByLayer(
  steps: readonly Steps[],
  groups: readonly ChannelGroup[],
  bases: readonly number[],
  ratio: number,
): number[] {
  return steps.map(({ counts }, index) => {
    const { units, fixed } = groups[index] as ChannelGroup
    const base = bases[index] ?? 0
    const wanted = base * ratio - (base - units.length - fixed)
    return counts.findLast((count) => count <= wanted + 1e-9) ?? 0
  })
}

/** Tells what a model costs when `removed[i]` units of group i are gone. */
export type ModelCost = (removed: readonly number[]) => number

/**
 * Removes, again and again, what saves most cost per importance, until no more than `goal` is left. A step may be several
 * blocks, where one alone saves nothing.
 */
export function chooseByCost(steps: readonly Steps[], scores: UnitScores, cost: ModelCost, goal: number): number[] {
  const removed = steps.map(() => 0)
  for (let now = cost(removed); now > goal; now = cost(removed)) {
    const best = bestStep(steps, scores, cost, removed, now)
    if (best === undefined) break
    removed[best.group] = best.count
  }
  return removed
}

/** Blocks looked at ahead of one step. */
const lookAhead = 4

function bestStep(
  steps: readonly Steps[],
  scores: UnitScores,
  cost: ModelCost,
  removed: readonly number[],
  now: number,
) {
  let best: { group: number; count: number; worth: number } | undefined
  for (const [group, { order, counts }] of steps.entries()) {
    const gone = removed[group] ?? 0
    for (const count of counts.filter((each) => each > gone).slice(0, lookAhead)) {
      const saved = now - cost(removed.with(group, count))
      const lost = order.slice(gone, count).reduce((sum, unit) => sum + (scores.get(unit) ?? 0), 0)
      const worth = saved / (lost + 1e-12)
      if (saved > 0 && worth > (best?.worth ?? 0)) best = { group, count, worth }
    }
  }
  return best
}
