import { tensorOf, type Tensor } from '../../ir/tensor.ts'
import type { MatrixLayer, KernelLayer, WholeLayer } from './layers.ts'
import { readModes, type KernelModes } from './kernel-modes.ts'
import { kernelWork, splitKernel } from './split-kernel.ts'
import { splitMatrix, type RankChoice } from './split-matrix.ts'
import { splitTerms, termsWork } from './split-terms.ts'

/** How a layer is written as smaller ones. */
export type Method = 'svd' | 'tucker' | 'cp'

/** What one layer becomes: the weights of a chain of layers that does about the same. */
export interface Factors {
  readonly method: Method
  /** Rank of a matrix or a sum; of a kernel outputs and inputs. */
  readonly ranks: readonly number[]
  /** Of the multiply-accumulates of the layer. */
  readonly work: number
  /** Share of Σ w² that is kept. */
  readonly kept: number
  /** Weights in the order they are applied, in the layout of the operator; a mode of full rank has none. */
  readonly before: Tensor | undefined
  readonly core: Tensor | undefined
  readonly after: Tensor | undefined
}

export interface FactorChoice extends RankChoice {
  /** How a window is split; a matrix is always split by its singular values. */
  readonly method: Method | 'auto'
  readonly minSaving: number
}

/** The ways to split a layer, or why it stays whole. */
export function factorLayer(layer: WholeLayer, choice: FactorChoice): readonly Factors[] | string {
  if (layer.kind === 'kernel') return factorKernel(layer, choice)
  const factors = factorMatrix(layer, choice)
  return typeof factors === 'string' ? factors : [factors]
}

function factorMatrix(layer: MatrixLayer, choice: RankChoice): Factors | string {
  const matrix = layer.matrix()
  const { rows: inner, columns: outer } = matrix
  const split = splitMatrix(matrix, choice)
  if (!('first' in split)) return whyWhole([split.rank], `a rank below ${Math.ceil((inner * outer) / (inner + outer))}`)
  const { rank, first, second, kept } = split
  const work = (rank * (inner + outer)) / (inner * outer)
  // Convolutions and transposed Gemm weights are [outputs, inputs].
  const isTransposed = layer.kind === 'pointwise' || isTransposedGemm(layer)
  const before = layer.kind === 'pointwise' ? first.transpose() : first
  const after = isTransposed ? second.transpose() : second
  const window = layer.dims.slice(2)
  return {
    method: 'svd',
    ranks: [rank],
    work,
    kept,
    before: tensorFrom([before.rows, before.columns, ...window], before.to1DArray()),
    core: undefined,
    after: tensorFrom([after.rows, after.columns, ...window], after.to1DArray()),
  }
}

function isTransposedGemm({ node }: MatrixLayer): boolean {
  const transB = node.opType === 'Gemm' ? node.attributes.get('transB') : undefined
  return transB?.kind === 'int' && transB.value === 1n
}

function factorKernel(layer: KernelLayer, choice: FactorChoice): readonly Factors[] | string {
  const { method } = choice
  const modes = readModes(layer.weight)
  const wanted = (['svd', 'tucker'] as const).filter((each) => method === each || method === 'auto')
  const tried = wanted.map((each) => factorByModes(layer, modes, choice, each))
  const found = tried.filter((each) => typeof each !== 'string')
  const most = method === 'cp' ? 1 - choice.minSaving : mostOfTerms(found, choice)
  if (method === 'cp' || (method === 'auto' && most > 0)) {
    const terms = factorByTerms(layer, modes, choice, most)
    tried.push(terms)
    if (typeof terms !== 'string') found.push(terms)
  }
  return found.length > 0 ? found : (tried.find((each) => typeof each === 'string') ?? 'nothing splits it')
}

/**
 * A fit takes long. Beside the other forms one is made only for less work than theirs, and half of the layer's at most; not
 * at all where channels have no directions to spare, since a sum has no fewer terms than those.
 */
function mostOfTerms(found: readonly Factors[], { by, minSaving }: FactorChoice): number {
  if (by === 'ratio') return 1 - minSaving
  return found.length === 0 ? 0 : Math.min(1 - minSaving, 0.5, ...found.map(({ work }) => work))
}

function factorByModes(
  { weight, dims }: KernelLayer,
  modes: KernelModes,
  choice: RankChoice,
  method: 'svd' | 'tucker',
): Factors | string {
  const split = splitKernel(weight, modes, choice, method)
  const { outputs, inputs } = weight
  if (!('core' in split))
    return whyWhole(split.ranks, `ranks below those of its ${outputs} outputs and ${inputs} inputs`)
  const [makes, reads] = split.ranks
  const window = dims.slice(2)
  const ones = window.map(() => 1)
  return {
    method,
    ranks: method === 'svd' ? [makes] : split.ranks,
    work: kernelWork(weight, makes, reads) / kernelWork(weight, outputs, inputs),
    kept: split.kept,
    before: split.reads && tensorFrom([reads, inputs, ...ones], split.reads.transpose().to1DArray()),
    core: tensorFrom([makes, reads, ...window], split.core),
    after: split.makes && tensorFrom([outputs, makes, ...ones], split.makes.to1DArray()),
  }
}

function factorByTerms(
  { weight, dims }: KernelLayer,
  modes: KernelModes,
  choice: RankChoice,
  most: number,
): Factors | string {
  const { outputs, inputs } = weight
  const whole = kernelWork(weight, outputs, inputs)
  const split = splitTerms(weight, modes, choice, most * whole)
  const { rank } = split
  if (!('factors' in split))
    return whyWhole([rank], `a sum of at most ${Math.floor((most * whole) / termsWork(weight, 1))} terms`)
  const [makes, reads, windows] = split.factors
  const window = dims.slice(2)
  const ones = window.map(() => 1)
  return {
    method: 'cp',
    ranks: [rank],
    work: termsWork(weight, rank) / whole,
    kept: split.kept,
    before: tensorFrom([rank, inputs, ...ones], reads.transpose().to1DArray()),
    core: tensorFrom([rank, 1, ...window], windows.transpose().to1DArray()),
    after: tensorFrom([outputs, rank, ...ones], makes.to1DArray()),
  }
}

function whyWhole(ranks: readonly number[], limit: string): string {
  return `it needs rank ${ranks.join(' and ')}, and only ${limit} would save work`
}

function tensorFrom(dims: readonly number[], values: ArrayLike<number>): Tensor {
  return tensorOf('float32', dims, Float32Array.from(values))
}
