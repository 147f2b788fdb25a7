import type { Graph, Value } from '../../ir/graph.ts'
import { tensorOf, type NumericTensor } from '../../ir/tensor.ts'
import { opAttributes } from '../../ops/index.ts'
import { productAttributes, type AccuracyLevel } from './accuracy-level.ts'
import type { BlockWeight } from './blocks.ts'
import { packBlocks, packTable } from './pack.ts'
import type { WeightTarget } from './targets.ts'

/** Where MatMulNBits reads its bias. */
const biasInput = 5

/**
 * Replaces nodes by their forms with weights in blocks. New weights go into the outermost graph, where every subgraph
 * can read them; one that several nodes read is written once.
 */
export function createReplacer(main: Graph) {
  const written = new Map<BlockWeight, readonly (Value | undefined)[]>()
  const write = (target: WeightTarget, weight: BlockWeight) => {
    const { data, scales, zeroPoints } = target.kind === 'table' ? packTable(weight) : packBlocks(weight)
    const add = (suffix: string, tensor: NumericTensor | undefined) =>
      tensor && main.addInitializer(main.freshName(`${target.node.name}/weight_${suffix}`), tensor)
    return [add('blocks', data), add('scales', scales), add('zero_points', zeroPoints)]
  }
  return (target: WeightTarget, weight: BlockWeight, level: AccuracyLevel): void => {
    const parts = written.get(weight) ?? write(target, weight)
    written.set(weight, parts)
    const { node } = target
    const { graph } = node
    const [output] = node.outputs
    if (graph === undefined || output === undefined) return
    const init =
      target.kind === 'table' ? tableNode(target, weight, parts) : productNode(main, target, weight, parts, level)
    const name = graph.freshName(`${node.name}/${init.opType}`)
    const [result] = graph.insertBefore(node, { ...init, name, domain: 'com.microsoft' }).outputs
    if (result === undefined) return
    result.type = output.type
    graph.replaceAllUses(output, result)
    graph.removeNode(node)
  }
}

type Parts = readonly (Value | undefined)[]

function productNode(
  main: Graph,
  { node, input, bias }: WeightTarget,
  weight: BlockWeight,
  parts: Parts,
  level: AccuracyLevel,
) {
  const inputs = [input, ...parts]
  if (bias !== undefined) {
    const tensor = tensorOf('float32', [bias.length], Float32Array.from(bias))
    inputs.length = biasInput
    inputs.push(main.addInitializer(main.freshName(`${node.name}/bias`), tensor))
  }
  return { opType: 'MatMulNBits', inputs, attributes: productAttributes(weight, level) }
}

function tableNode({ input }: WeightTarget, { bits, blockSize }: BlockWeight, [data, scales, zeroPoints]: Parts) {
  const plain = { bits, block_size: blockSize, gather_axis: 0, quantize_axis: 1 }
  return {
    opType: 'GatherBlockQuantized',
    inputs: [data, input, scales, zeroPoints],
    attributes: opAttributes('GatherBlockQuantized', plain, 'com.microsoft'),
  }
}
