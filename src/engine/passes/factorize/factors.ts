import { tensorOf, type Tensor } from '../../ir/tensor.ts'
import type { MatrixLayer, KernelLayer, WholeLayer } from './layers.ts'
import { kernelWork, splitKernel } from './split-kernel.ts'
import { splitMatrix, type RankChoice } from './split-matrix.ts'

/** What one layer becomes: the weights of a chain of layers that does about the same. */
export interface Factors {
  /** Rank of a matrix; of a kernel outputs and inputs. */
  readonly ranks: readonly number[]
  /** Of the multiply-accumulates of the layer. */
  readonly work: number
  /** Weights in the order they are applied, in the layout of the operator; a mode of full rank has none. */
  readonly before: Tensor | undefined
  readonly core: Tensor | undefined
  readonly after: Tensor | undefined
}

/** The factors of a layer, or why it stays whole. */
export function factorLayer(layer: WholeLayer, choice: RankChoice): Factors | string {
  return layer.kind === 'kernel' ? factorKernel(layer, choice) : factorMatrix(layer, choice)
}

function factorMatrix(layer: MatrixLayer, choice: RankChoice): Factors | string {
  const matrix = layer.matrix()
  const { rows: inner, columns: outer } = matrix
  const split = splitMatrix(matrix, choice)
  if (!('first' in split)) return whyWhole([split.rank], `a rank below ${Math.ceil((inner * outer) / (inner + outer))}`)
  const { rank, first, second } = split
  const work = (rank * (inner + outer)) / (inner * outer)
  // Convolutions and transposed Gemm weights are [outputs, inputs].
  const isTransposed = layer.kind === 'pointwise' || isTransposedGemm(layer)
  const before = layer.kind === 'pointwise' ? first.transpose() : first
  const after = isTransposed ? second.transpose() : second
  const window = layer.dims.slice(2)
  return {
    ranks: [rank],
    work,
    before: tensorFrom([before.rows, before.columns, ...window], before.to1DArray()),
    core: undefined,
    after: tensorFrom([after.rows, after.columns, ...window], after.to1DArray()),
  }
}

function isTransposedGemm({ node }: MatrixLayer): boolean {
  const transB = node.opType === 'Gemm' ? node.attributes.get('transB') : undefined
  return transB?.kind === 'int' && transB.value === 1n
}

function factorKernel({ weight, dims }: KernelLayer, choice: RankChoice): Factors | string {
  const split = splitKernel(weight, choice)
  const { outputs, inputs } = weight
  if (!('core' in split))
    return whyWhole(split.ranks, `ranks below those of its ${outputs} outputs and ${inputs} inputs`)
  const [makes, reads] = split.ranks
  const window = dims.slice(2)
  const ones = window.map(() => 1)
  return {
    ranks: split.ranks,
    work: kernelWork(weight, makes, reads) / kernelWork(weight, outputs, inputs),
    before: split.reads && tensorFrom([reads, inputs, ...ones], split.reads.transpose().to1DArray()),
    core: tensorFrom([makes, reads, ...window], split.core),
    after: split.makes && tensorFrom([outputs, makes, ...ones], split.makes.to1DArray()),
  }
}

function whyWhole(ranks: readonly number[], limit: string): string {
  return `it needs rank ${ranks.join(' and ')}, and only ${limit} would save work`
}

function tensorFrom(dims: readonly number[], values: ArrayLike<number>): Tensor {
  return tensorOf('float32', dims, Float32Array.from(values))
}
