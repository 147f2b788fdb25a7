import type { Matrix } from 'ml-matrix'
import { firstOf, leftDirections, rankFor, shareOf } from './directions.ts'

/** How a rank is chosen. */
export interface RankChoice {
  readonly by: 'energy' | 'ratio'
  readonly energy: number
  readonly ratio: number
  /** Ranks are multiples of this. */
  readonly block: number
}

/** W [inner, outer] ≈ first [inner, rank] · second [rank, outer]. */
export interface MatrixFactors {
  readonly rank: number
  readonly first: Matrix
  readonly second: Matrix
  /** Share of Σ w² that is kept. */
  readonly kept: number
}

/** A rank as a multiple of the block: upwards to keep energy, downwards to save work. */
export function inBlocks(rank: number, { by, block }: RankChoice): number {
  return by === 'energy' ? Math.ceil(rank / block) * block : Math.max(block, Math.floor(rank / block) * block)
}

/**
 * The truncated singular value decomposition (Eckart & Young 1936): the best product of that rank.
 * @returns the rank alone where it would be no less work than the whole
 */
export function splitMatrix(weight: Matrix, choice: RankChoice): MatrixFactors | { readonly rank: number } {
  const { rows, columns } = weight
  const isWide = rows <= columns
  const whole = (rows * columns) / (rows + columns)
  const wanted = inBlocks(choice.ratio * whole, choice)
  if (choice.by === 'ratio' && wanted >= whole) return { rank: wanted }
  const directions = leftDirections(isWide ? weight : weight.transpose())
  const rank = choice.by === 'ratio' ? wanted : inBlocks(rankFor(directions.energies, choice.energy), choice)
  if (rank >= whole) return { rank }
  const basis = firstOf(directions, rank)
  const kept = shareOf(directions.energies, rank)
  return isWide
    ? { rank, kept, first: basis, second: basis.transpose().mmul(weight) }
    : { rank, kept, first: weight.mmul(basis), second: basis.transpose() }
}
