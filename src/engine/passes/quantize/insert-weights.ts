import { biasWidening, quantizeBias, type AffineParams, type QuantizedDType } from '../../calibrate/affine.ts'
import { integerTensor, quantizeWeight, type QuantizedWeight } from '../../calibrate/quantize-weight.ts'
import { attribute } from '../../ir/attribute.ts'
import type { Graph, Node, Value } from '../../ir/graph.ts'
import type { Model } from '../../ir/model.ts'
import { tensorOf } from '../../ir/tensor.ts'
import type { LinearNode } from './linear-nodes.ts'
import { domainOf, type Scheme } from './scheme.ts'

/** Integer weights and an int32 bias for a node, whose factors go into them. */
export function insertWeights(model: Model, linear: LinearNode, input: AffineParams, scheme: Scheme): void {
  const { node, bias } = linear
  const { graph } = node
  if (graph === undefined) return
  const opset = model.opsetImports.get('') ?? 1
  const quantized = quantizeAnchor(linear, input, scheme)
  node.setInput(1, dequantizeWeight(graph, opset, `${node.name}/weight`, quantized))
  if (node.opType === 'Gemm') for (const name of ['alpha', 'beta']) node.removeAttribute(name)
  if (bias !== undefined) node.setInput(2, insertBias(graph, linear, bias, input, quantized))
}

/** The integer weights of a node, their scales widened where the bias would not fit int32 in units of them. */
function quantizeAnchor(
  { node, weight, weights, axis, bias }: LinearNode,
  input: AffineParams,
  { weights: affine, perChannel, block }: Scheme,
): QuantizedWeight {
  const blocked = block !== undefined && node.opType !== 'Conv'
  const scaled = blocked ? 1 - axis : perChannel ? axis : undefined
  const options = { ...affine, axis: scaled, block: blocked ? block : undefined }
  const plain = quantizeWeight(weights, weight.dims, options)
  if (bias === undefined || blocked) return plain
  const factors = biasWidening(bias, input.scale, plain.scales)
  const widen = perChannel ? factors : [Math.max(1, ...factors)]
  return widen.some((factor) => factor > 1) ? quantizeWeight(weights, weight.dims, { ...options, widen }) : plain
}

/** An int32 bias in units of input scale × weight scale. With a scale per block there is no such unit: it stays float. */
function insertBias(
  graph: Graph,
  { node }: LinearNode,
  bias: readonly number[],
  input: AffineParams,
  { scales, axis, block }: QuantizedWeight,
): Value {
  const hint = `${node.name}/bias`
  if (block !== undefined) {
    return graph.addInitializer(graph.freshName(hint), tensorOf('float32', [bias.length], Float32Array.from(bias)))
  }
  const quantized = quantizeBias(bias, input.scale, scales)
  const data = graph.addInitializer(graph.freshName(`${hint}_quantized`), quantized.tensor)
  const dims = axis === undefined ? [] : [quantized.scales.length]
  const scale = graph.addInitializer(graph.freshName(`${hint}_scale`), tensorOf('float32', dims, quantized.scales))
  const attributes = axis === undefined ? {} : { axis: attribute.int(0) }
  return outputOf(graph.addNode({ opType: 'DequantizeLinear', inputs: [data, scale], attributes }))
}

/**
 * An integer initializer and the DequantizeLinear that makes it a float again. Zero points of 0 are spelled out, since
 * ONNX Runtime's x64quantprecision mode adds one of the wrong shape otherwise.
 */
function dequantizeWeight(graph: Graph, opset: number, hint: string, quantized: QuantizedWeight): Value {
  const { tensor, scales, scaleDims, zeroPoints, axis, block } = quantized
  const dtype = tensor.dtype as QuantizedDType
  const data = graph.addInitializer(graph.freshName(`${hint}_quantized`), tensor)
  const scale = graph.addInitializer(graph.freshName(`${hint}_scale`), tensorOf('float32', scaleDims, scales))
  const zeros = graph.addInitializer(graph.freshName(`${hint}_zero_point`), integerTensor(dtype, scaleDims, zeroPoints))
  const attributes = {
    ...(axis === undefined ? {} : { axis: attribute.int(axis) }),
    ...(block === undefined ? {} : { block_size: attribute.int(block) }),
  }
  return outputOf(
    graph.addNode({
      opType: 'DequantizeLinear',
      domain: domainOf(dtype, opset),
      inputs: [data, scale, zeros],
      attributes,
    }),
  )
}

function outputOf(node: Node): Value {
  return node.outputs[0] as Value
}
