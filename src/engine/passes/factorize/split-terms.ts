import { fitTerms, type Terms } from './cp.ts'
import { rankFor } from './directions.ts'
import type { KernelModes, KernelWeight } from './kernel-modes.ts'
import { inBlocks, type RankChoice } from './split-matrix.ts'

/** Multiply-accumulates for each output position of a 1×1 convolution, a depthwise window and a 1×1 convolution. */
export function termsWork({ outputs, inputs, positions, stride }: KernelWeight, rank: number): number {
  return rank * (inputs * stride + positions + outputs)
}

/**
 * A sum of terms, each an input direction, a window and an output direction (Lebedev et al. 2015, with the window in one).
 * @param work the multiply-accumulates it may take
 * @returns the rank alone where that, or what `work` allows, would not do
 */
export function splitTerms(
  weight: KernelWeight,
  modes: KernelModes,
  choice: RankChoice,
  work: number,
): (Terms & { readonly rank: number }) | { readonly rank: number } {
  const { values, outputs, inputs, positions } = weight
  const { block, energy } = choice
  const goal = choice.by === 'energy' ? energy : 0
  const fit = (rank: number) => ({ rank, ...fitTerms({ values, dims: [outputs, inputs, positions] }, rank, goal) })
  const perTerm = termsWork(weight, 1)
  const most = Math.floor(work / perTerm / block) * block
  if (choice.by === 'ratio') {
    const rank = inBlocks((choice.ratio * outputs * inputs * positions) / perTerm, choice)
    return rank > most ? { rank } : fit(rank)
  }
  // What fewer terms keep is less than one mode alone would keep with as many directions.
  const ranks = [modes.outputs, modes.inputs, modes.positions].map(({ energies }) => rankFor(energies, energy))
  let [low, high] = [inBlocks(Math.max(...ranks), choice), most]
  if (low > high) return { rank: low }
  let best = fit(high)
  if (best.kept < energy) return { rank: high + block }
  while (low < high) {
    const middle = Math.floor((low + high) / 2 / block) * block
    const tried = fit(middle)
    if (tried.kept < energy) low = middle + block
    else [high, best] = [middle, tried]
  }
  return best
}
