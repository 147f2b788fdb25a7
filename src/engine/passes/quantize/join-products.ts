import type { Graph, Node, Value } from '../../ir/graph.ts'
import { elementCount } from '../../ir/tensor.ts'
import { constantValue, type InferredTypes } from '../../ops/index.ts'
import { isExcluded } from './linear-nodes.ts'

/** A MatMul of two axes, and the Add that alone reads what it gives. */
interface BiasedProduct {
  readonly graph: Graph
  readonly product: Node
  readonly add: Node
  /** The constant of the Add, where it is one number per channel. */
  readonly bias: Value | undefined
}

/**
 * The pairs of a MatMul and an Add that ONNX Runtime makes a Gemm of before it looks for integers. A Gemm with a float
 * bias has no kernel on integers: its weights would become floats again in every run.
 */
export function biasedProducts(products: Iterable<Node>, types: InferredTypes): BiasedProduct[] {
  return Array.from(products).flatMap((product) => readPair(product, types) ?? [])
}

function readPair(product: Node, types: InferredTypes): BiasedProduct | undefined {
  const { graph, opType, inputs, outputs } = product
  const [output] = outputs
  const [use] = output?.uses ?? []
  if (graph === undefined || opType !== 'MatMul' || use === undefined) return undefined
  if (output?.uses.size !== 1 || output.isGraphOutput || use.node.graph !== graph) return undefined
  const { node: add, index } = use
  if (add.opType !== 'Add' || add.domain !== '' || types.of(inputs[0])?.dims?.length !== 2) return undefined
  const other = add.inputs[1 - index]
  return { graph, product, add, bias: isRow(other, product) ? other : undefined }
}

function isRow(value: Value | undefined, product: Node): boolean {
  const bias = constantValue(value)
  const channels = constantValue(product.inputs[1])?.dims[1]
  return bias?.dtype === 'float32' && bias.dims.at(-1) === channels && elementCount(bias.dims) === channels
}

/**
 * Makes a Gemm of such a pair ourselves, whose bias is then quantized with it; where the Add is of something else, or is
 * to stay as it is, of the MatMul alone, which the Add no longer joins.
 */
export function joinProduct({ graph, product, add, bias }: BiasedProduct, exclude: readonly string[]): void {
  const { name } = product
  const takesBias = bias !== undefined && !isExcluded(add, exclude)
  const [last, inputs] = takesBias ? [add, [...product.inputs, bias]] : [product, product.inputs]
  const output = last.outputs[0] as Value
  const gemm = graph.insertBefore(last, { opType: 'Gemm', name, inputs })
  const result = gemm.outputs[0] as Value
  result.type = output.type
  const held = output.isGraphOutput ? undefined : output.name
  graph.replaceAllUses(output, result)
  graph.removeNode(last)
  if (last !== product) graph.removeNode(product)
  if (held !== undefined) graph.renameValue(result, held)
}
