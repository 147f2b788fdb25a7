import type { Node } from '../../ir/graph.ts'
import { tensorOf, viewOf, type Tensor } from '../../ir/tensor.ts'
import { constantValue } from '../../ops/index.ts'

/** A float32 constant input of a node, or undefined. */
export function floatConstant(node: Node, index: number): Tensor | undefined {
  const tensor = constantValue(node.inputs[index])
  return tensor?.dtype === 'float32' ? tensor : undefined
}

/** Multiplies a constant input along one of its axes. The node gets a constant of its own: others may read the old one. */
export function scaleConstant(node: Node, index: number, axis: number, factors: ArrayLike<number>): void {
  const tensor = floatConstant(node, index)
  const { graph } = node
  if (tensor === undefined || graph === undefined) return
  const values = viewOf(tensor, 'float32')
  const inner = tensor.dims.slice(axis + 1).reduce((product, dim) => product * dim, 1)
  const size = tensor.dims[axis] ?? 1
  const scaled = values.map((value, at) => value * (factors[Math.floor(at / inner) % size] as number))
  const hint = `${node.inputs[index]?.name ?? node.name}_scaled`
  const constant = graph.addInitializer(graph.freshName(hint), tensorOf('float32', tensor.dims, scaled))
  node.setInput(index, constant)
}

/** Largest magnitude along one axis of a tensor. */
export function largestAlong(tensor: Tensor, axis: number): Float64Array {
  const values = viewOf(tensor, 'float32')
  const inner = tensor.dims.slice(axis + 1).reduce((product, dim) => product * dim, 1)
  const size = tensor.dims[axis] ?? 1
  const largest = new Float64Array(size)
  for (const [at, value] of values.entries()) {
    const channel = Math.floor(at / inner) % size
    largest[channel] = Math.max(largest[channel] as number, Math.abs(value))
  }
  return largest
}
