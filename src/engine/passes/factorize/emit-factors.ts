import { attribute } from '../../ir/attribute.ts'
import type { Node, Value } from '../../ir/graph.ts'
import type { Tensor } from '../../ir/tensor.ts'
import type { Factors } from './factors.ts'
import type { WholeLayer } from './layers.ts'

const slidingAttributes = ['strides', 'pads', 'dilations', 'auto_pad', 'kernel_shape']

/** Puts the factors in front of a layer, which keeps its name, its output and its bias, and applies the last of them. */
export function emitFactors({ node, value, kind }: WholeLayer, factors: Factors, weights: WeightValues): void {
  const { before, core, after, method } = factors
  const add = (tensor: Tensor, part: string, attributes: 'sliding' | 'plain') => {
    const [input] = node.inputs
    const opType = kind === 'matrix' ? 'MatMul' : 'Conv'
    const given = attributes === 'sliding' ? slidingOf(node, tensor) : {}
    // Each term has a window of its own.
    const groups = method === 'cp' && part === 'core' ? { group: attribute.int(tensor.dims[0] ?? 1) } : {}
    const made = node.graph?.insertBefore(node, {
      opType,
      name: node.graph.freshName(`${node.name}/${part}`),
      inputs: [input, weights(value, part, tensor)],
      attributes: { ...given, ...groups },
    })
    node.setInput(0, made?.outputs[0])
  }
  if (before !== undefined) add(before, 'before', kind === 'pointwise' ? 'sliding' : 'plain')
  if (core !== undefined && after !== undefined) add(core, 'core', 'sliding')
  const last = after ?? core
  if (last === undefined) return
  node.setInput(1, weights(value, after === undefined ? 'core' : 'after', last))
  if (kind === 'matrix') return
  if (after === undefined) node.setAttribute('kernel_shape', attribute.ints(last.dims.slice(2)))
  else for (const name of slidingAttributes) node.removeAttribute(name)
}

/** The initializer that holds a factor of a weight; layers that share the weight share it. */
export type WeightValues = (weight: Value, part: string, tensor: Tensor) => Value

function slidingOf(node: Node, tensor: Tensor) {
  const kept = slidingAttributes.flatMap((name) => {
    const value = node.attributes.get(name)
    return value === undefined ? [] : [[name, value] as const]
  })
  return { ...Object.fromEntries(kept), kernel_shape: attribute.ints(tensor.dims.slice(2)) }
}
