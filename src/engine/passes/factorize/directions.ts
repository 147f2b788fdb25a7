import { EigenvalueDecomposition, type Matrix } from 'ml-matrix'

/** Orthonormal directions, the one with most energy first. */
export interface Directions {
  /** [size, size]; column k is a direction. */
  readonly vectors: Matrix
  /** Σ σ² along each direction. */
  readonly energies: Float64Array
}

/** The left singular vectors of a matrix and its squared singular values, from its Gram matrix. */
export function leftDirections(matrix: Matrix): Directions {
  const { realEigenvalues, eigenvectorMatrix } = new EigenvalueDecomposition(matrix.mmul(matrix.transpose()), {
    assumeSymmetric: true,
  })
  const order = realEigenvalues.map((_, index) => index)
  order.sort((a, b) => (realEigenvalues[b] ?? 0) - (realEigenvalues[a] ?? 0))
  return {
    vectors: eigenvectorMatrix.subMatrixColumn(order),
    energies: Float64Array.from(order, (index) => Math.max(0, realEigenvalues[index] ?? 0)),
  }
}

/** The fewest directions that keep a share of the energy. */
export function rankFor(energies: Float64Array, share: number): number {
  const total = energies.reduce((sum, energy) => sum + energy, 0)
  let kept = 0
  for (const [index, energy] of energies.entries()) {
    kept += energy
    if (kept >= share * total) return index + 1
  }
  return energies.length
}

/** The first `rank` directions as columns. */
export function firstOf({ vectors }: Directions, rank: number): Matrix {
  return vectors.subMatrix(0, vectors.rows - 1, 0, rank - 1)
}

/** The share of the energy that the first directions keep. */
export function shareOf(energies: Float64Array, rank: number): number {
  const sumOf = (list: Float64Array) => list.reduce((sum, energy) => sum + energy, 0)
  return sumOf(energies.subarray(0, rank)) / (sumOf(energies) || 1)
}
