import { Matrix } from 'ml-matrix'
import { firstOf, rankFor } from './directions.ts'
import type { KernelModes, KernelWeight } from './kernel-modes.ts'
import { inBlocks, type RankChoice } from './split-matrix.ts'

/** W ≈ core ×₁ outputs ×₂ inputs; a mode of full rank has no factor. */
export interface KernelFactors {
  /** [inputs, reads]. */
  readonly reads: Matrix | undefined
  /** [outputs, makes]. */
  readonly makes: Matrix | undefined
  /** [makes, reads, positions]. */
  readonly core: Float32Array
  readonly ranks: readonly [makes: number, reads: number]
  /** Share of Σ w² that is kept. */
  readonly kept: number
}

/** Multiply-accumulates for each output position at ranks of both modes. */
export function kernelWork({ outputs, inputs, positions, stride }: KernelWeight, makes: number, reads: number): number {
  const before = reads < inputs ? reads * inputs * stride : 0
  const after = makes < outputs ? makes * outputs : 0
  return before + makes * reads * positions + after
}

/**
 * `tucker`: decomposition over the two channel modes by higher-order SVD (Kim et al. 2016): a 1×1 convolution to fewer
 * channels, the window over those, and a 1×1 convolution back. `svd`: the same with all inputs, which leaves out the first.
 * @returns the ranks alone where they would be no less work than the whole
 */
export function splitKernel(
  weight: KernelWeight,
  modes: KernelModes,
  choice: RankChoice,
  method: 'svd' | 'tucker',
): KernelFactors | Pick<KernelFactors, 'ranks'> {
  const { outputs, inputs } = weight
  const ranks = method === 'svd' ? chooseRank(weight, modes, choice) : chooseRanks(weight, modes, choice)
  const [makes, reads] = ranks
  if (kernelWork(weight, makes, reads) >= kernelWork(weight, outputs, inputs)) return { ranks }
  const outer = makes < outputs ? firstOf(modes.outputs, makes) : undefined
  const inner = reads < inputs ? firstOf(modes.inputs, reads) : undefined
  const core = project(weight, modes.byOutput, outer, inner)
  return { ranks, makes: outer, reads: inner, core, kept: squaresOf(core) / squaresOf(weight.values) }
}

const squaresOf = (values: Float32Array) => values.reduce((sum, value) => sum + value * value, 0)

function chooseRank(weight: KernelWeight, modes: KernelModes, choice: RankChoice): [number, number] {
  const { outputs, inputs, positions } = weight
  const square = outputs * inputs * positions
  const rank =
    choice.by === 'energy'
      ? rankFor(modes.outputs.energies, choice.energy)
      : (choice.ratio * square) / (inputs * positions + outputs)
  return [Math.min(outputs, inBlocks(rank, choice)), inputs]
}

function chooseRanks(weight: KernelWeight, modes: KernelModes, choice: RankChoice): [number, number] {
  const { outputs, inputs, positions, stride } = weight
  const limit = (rank: number, full: number) => Math.min(full, inBlocks(rank, choice))
  if (choice.by === 'energy')
    return [
      limit(rankFor(modes.outputs.energies, choice.energy), outputs),
      limit(rankFor(modes.inputs.energies, choice.energy), inputs),
    ]
  // Both modes keep the share s: s²·O·I·k + s·(I²·stride + O²) = ratio·O·I·k.
  const [square, linear] = [outputs * inputs * positions, inputs ** 2 * stride + outputs ** 2]
  const share = (Math.sqrt(linear ** 2 + 4 * square ** 2 * choice.ratio) - linear) / (2 * square)
  return [limit(share * outputs, outputs), limit(share * inputs, inputs)]
}

/** The core: the weight along the directions kept. */
function project({ inputs, positions }: KernelWeight, byOutput: Matrix, makes?: Matrix, reads?: Matrix): Float32Array {
  const rows = makes === undefined ? byOutput : makes.transpose().mmul(byOutput)
  if (reads === undefined) return Float32Array.from(rows.to1DArray())
  const rank = reads.columns
  const core = new Float32Array(rows.rows * rank * positions)
  for (let row = 0; row < rows.rows; row += 1) {
    const slice = Matrix.from1DArray(inputs, positions, rows.getRow(row))
    core.set(reads.transpose().mmul(slice).to1DArray(), row * rank * positions)
  }
  return core
}
