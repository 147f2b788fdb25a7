import type { Graph, Value } from '../../ir/graph.ts'
import { tensorOf, viewOf, type Tensor } from '../../ir/tensor.ts'

/**
 * Gives each activation's scale a factor of 1 that can be trained (Esser et al., Learned Step Size Quantization, 2020): a
 * step then changes a scale by a share of itself, however small it is.
 * @returns names of the factors
 */
export function addFactors(graph: Graph): string[] {
  const factors = new Map<Value, Value>()
  const quantizers = [...graph.nodes].filter(
    ({ opType, inputs }) => opType === 'QuantizeLinear' && isConstant(inputs[1]),
  )
  for (const quantize of quantizers) {
    const scale = quantize.inputs[1] as Value
    const factor = factors.get(scale) ?? addFactor(graph, scale)
    factors.set(scale, factor)
    const readers = Array.from(quantize.outputs[0]?.uses ?? [], ({ node }) => node)
    for (const node of [quantize, ...readers.filter(({ opType }) => opType === 'DequantizeLinear')]) {
      const [own] = graph.addNode({ opType: 'Mul', inputs: [node.inputs[1], factor] }).outputs
      node.setInput(1, own)
    }
  }
  return [...factors.values()].map(({ name }) => name)
}

function isConstant(value: Value | undefined): value is Value {
  return value?.initializer !== undefined
}

function addFactor(graph: Graph, scale: Value): Value {
  return graph.addInitializer(graph.freshName(`${scale.name}/factor`), tensorOf('float32', [], Float32Array.of(1)))
}

/** Multiplies the trained factors into their scales. */
export function foldFactors(graph: Graph, names: ReadonlySet<string>): void {
  const factors = [...graph.initializers].filter(({ name }) => names.has(name))
  for (const factor of factors) {
    const [by = 1] = floatsIn(factor.initializer as Tensor)
    for (const { node } of factor.uses) {
      const scale = node.inputs[0]?.initializer as Tensor
      const product = tensorOf(
        'float32',
        scale.dims,
        floatsIn(scale).map((value) => Math.abs(value * by)),
      )
      const folded = graph.addInitializer(graph.freshName(node.inputs[0]?.name ?? 'scale'), product)
      graph.replaceAllUses(node.outputs[0] as Value, folded)
      graph.removeNode(node)
    }
  }
}

function floatsIn(tensor: Tensor): Float32Array<ArrayBuffer> {
  return Float32Array.from(viewOf(tensor, 'float32'))
}
