import { Matrix } from 'ml-matrix'
import { firstOf, leftDirections, rankFor, type Directions } from './directions.ts'
import { inBlocks, type RankChoice } from './split-matrix.ts'

/** A convolution's weight, [outputs, inputs, positions] with all axes of the window in one. */
export interface KernelWeight {
  readonly values: Float32Array
  readonly outputs: number
  readonly inputs: number
  readonly positions: number
  /** Input positions for each output position: the product of the strides. */
  readonly stride: number
}

/** W ≈ core ×₁ outputs ×₂ inputs; a mode of full rank has no factor. */
export interface KernelFactors {
  /** [inputs, reads]. */
  readonly reads: Matrix | undefined
  /** [outputs, makes]. */
  readonly makes: Matrix | undefined
  /** [makes, reads, positions]. */
  readonly core: Float32Array
  readonly ranks: readonly [makes: number, reads: number]
}

/** Multiply-accumulates for each output position at ranks of both modes. */
export function kernelWork({ outputs, inputs, positions, stride }: KernelWeight, makes: number, reads: number): number {
  const before = reads < inputs ? reads * inputs * stride : 0
  const after = makes < outputs ? makes * outputs : 0
  return before + makes * reads * positions + after
}

/**
 * Tucker decomposition over the two channel modes by higher-order SVD (Kim et al. 2016): a 1×1 convolution to fewer
 * channels, the window over those, and a 1×1 convolution back.
 * @returns the ranks alone where they would be no less work than the whole
 */
export function splitKernel(weight: KernelWeight, choice: RankChoice): KernelFactors | Pick<KernelFactors, 'ranks'> {
  const { outputs, inputs } = weight
  const [byOutput, byInput] = [unfold(weight, 'outputs'), unfold(weight, 'inputs')]
  const [made, read] = [leftDirections(byOutput), leftDirections(byInput)]
  const ranks = chooseRanks(weight, made, read, choice)
  const [makes, reads] = ranks
  if (kernelWork(weight, makes, reads) >= kernelWork(weight, outputs, inputs)) return { ranks }
  const outer = makes < outputs ? firstOf(made, makes) : undefined
  const inner = reads < inputs ? firstOf(read, reads) : undefined
  return { ranks, makes: outer, reads: inner, core: project(weight, byOutput, outer, inner) }
}

function chooseRanks(weight: KernelWeight, made: Directions, read: Directions, choice: RankChoice): [number, number] {
  const { outputs, inputs, positions, stride } = weight
  const limit = (rank: number, full: number) => Math.min(full, inBlocks(rank, choice))
  if (choice.by === 'energy')
    return [limit(rankFor(made.energies, choice.energy), outputs), limit(rankFor(read.energies, choice.energy), inputs)]
  // Both modes keep the share s: s²·O·I·k + s·(I²·stride + O²) = ratio·O·I·k.
  const [square, linear] = [outputs * inputs * positions, inputs ** 2 * stride + outputs ** 2]
  const share = (Math.sqrt(linear ** 2 + 4 * square ** 2 * choice.ratio) - linear) / (2 * square)
  return [limit(share * outputs, outputs), limit(share * inputs, inputs)]
}

/** Rows are the channels of one mode, columns everything else. */
function unfold({ values, outputs, inputs, positions }: KernelWeight, mode: 'outputs' | 'inputs'): Matrix {
  if (mode === 'outputs') return Matrix.from1DArray(outputs, inputs * positions, values)
  const matrix = new Matrix(inputs, outputs * positions)
  for (const [index, value] of values.entries()) {
    const input = Math.floor(index / positions) % inputs
    const output = Math.floor(index / (positions * inputs))
    matrix.set(input, output * positions + (index % positions), value)
  }
  return matrix
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
