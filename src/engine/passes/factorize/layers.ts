import { Matrix } from 'ml-matrix'
import { getInt, getInts } from '../../ir/attribute.ts'
import type { Node, Value } from '../../ir/graph.ts'
import { elementCount, viewOf } from '../../ir/tensor.ts'
import { constantValue } from '../../ops/index.ts'
import { isExcluded } from '../quantize/linear-nodes.ts'
import type { KernelWeight } from './kernel-modes.ts'

interface LayerBase {
  readonly node: Node
  readonly value: Value
  readonly dims: readonly number[]
}

/** A product with a matrix: MatMul, Gemm, or a convolution whose window is one position. */
export interface MatrixLayer extends LayerBase {
  readonly kind: 'matrix' | 'pointwise'
  /** [inner, outer]. */
  readonly matrix: () => Matrix
}

export interface KernelLayer extends LayerBase {
  readonly kind: 'kernel'
  readonly weight: KernelWeight
}

/** A layer that may be split in two or three. */
export type WholeLayer = MatrixLayer | KernelLayer

export interface LayerFilter {
  readonly minElements: number
  readonly exclude: readonly string[]
}

/** Reads a node's weight, or says why it stays whole. */
export function readLayer(node: Node, { minElements, exclude }: LayerFilter): WholeLayer | string {
  if (isExcluded(node, exclude)) return 'excluded by the options'
  const value = node.inputs[1]
  const tensor = constantValue(value)
  if (value === undefined || tensor === undefined || constantValue(node.inputs[0]) !== undefined)
    return 'its weight is not a constant second input'
  if (tensor.dtype !== 'float32') return `its weight is ${tensor.dtype}`
  const { dims } = tensor
  const count = elementCount(dims)
  if (count < minElements) return `its weight has ${count} elements, fewer than ${minElements}`
  const values = viewOf(tensor, 'float32')
  if (!values.every(Number.isFinite)) return 'its weight is not finite'
  const layer = { node, value, dims }
  if (node.opType === 'Conv') return readConv(node, layer, values)
  if (dims.length !== 2) return `its weight has ${dims.length} axes, not 2`
  if (getInt(node, 'transA', 0) !== 0) return 'its first input is transposed'
  const matrix = () => matrixOf(values, dims, getInt(node, 'transB', 0) === 1)
  return { ...layer, kind: 'matrix', matrix }
}

function readConv(node: Node, layer: LayerBase, values: Float32Array): WholeLayer | string {
  const [outputs = 0, inputs = 0, ...window] = layer.dims
  if (getInt(node, 'group', 1) !== 1) return 'it has groups'
  const positions = elementCount(window)
  if (positions === 1) return { ...layer, kind: 'pointwise', matrix: () => matrixOf(values, [outputs, inputs], true) }
  const stride = elementCount(getInts(node, 'strides', []))
  return { ...layer, kind: 'kernel', weight: { values, outputs, inputs, positions, stride } }
}

function matrixOf(values: Float32Array, dims: readonly number[], isTransposed: boolean): Matrix {
  const matrix = Matrix.from1DArray(dims[0] ?? 1, dims[1] ?? 1, values)
  return isTransposed ? matrix.transpose() : matrix
}
