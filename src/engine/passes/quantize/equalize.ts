import { getFloat, getInt } from '../../ir/attribute.ts'
import type { Node } from '../../ir/graph.ts'
import { graphsWithin, type Model } from '../../ir/model.ts'
import { topologicalOrder } from '../../ir/order.ts'
import { floatConstant, largestAlong, scaleConstant } from './scale-weights.ts'

const sweeps = 4
const smallestFactor = 1e-2
const largestFactor = 1e2

/** Two layers and what lies between them: scaling a channel of the first and unscaling it in the second changes nothing. */
interface LayerPair {
  readonly first: Node
  readonly second: Node
}

/**
 * Gives the channels between two layers the same size in both: weights of the first are divided, those of the second
 * multiplied by √(r₁/r₂), r being the largest magnitude of a channel. Between them may be only what scales with its
 * input: f(s·x) = s·f(x) for s > 0. (Nagel et al., Data-Free Quantization through Weight Equalization and Bias
 * Correction, 2019)
 * @returns how many pairs of layers were equalized
 */
export function equalizeLayers(model: Model): number {
  const order = [...graphsWithin(model.graph)].flatMap((graph) => topologicalOrder(graph).order)
  const pairs = order.flatMap((first) => {
    const second = isFirst(first) ? nextLayer(first) : undefined
    return second === undefined ? [] : [{ first, second }]
  })
  for (let sweep = 0; sweep < sweeps; sweep += 1) for (const pair of pairs) equalizePair(pair)
  return pairs.length
}

/** Operators that scale with their input, channel by channel. */
const homogeneous = new Set(['Relu', 'LeakyRelu', 'MaxPool', 'AveragePool', 'GlobalAveragePool', 'Identity'])

function nextLayer(first: Node): Node | undefined {
  let node = onlyReader(first)
  while (node?.domain === '' && homogeneous.has(node.opType) && node.outputs.length === 1) node = onlyReader(node)
  if (node === undefined || !isSecond(node)) return undefined
  return channelsOut(first) === channelsIn(node) && isSpatial(first) === isSpatial(node) ? node : undefined
}

function onlyReader(node: Node): Node | undefined {
  const [output] = node.outputs
  const [use] = output?.uses ?? []
  if (output === undefined || use === undefined || output.isGraphOutput) return undefined
  return output.uses.size === 1 && use.index === 0 && use.node.graph === node.graph ? use.node : undefined
}

function isFirst(node: Node): boolean {
  return isLayer(node) && (node.inputs[2] === undefined || hasPlainBias(node))
}

function isSecond(node: Node): boolean {
  return isLayer(node) && (node.opType !== 'Gemm' || getInt(node, 'transA', 0) === 0)
}

function isLayer(node: Node): boolean {
  const weight = node.domain === '' ? floatConstant(node, 1) : undefined
  if (weight === undefined) return false
  if (node.opType === 'Conv') return getInt(node, 'group', 1) === 1 || isDepthwise(node)
  return node.opType === 'Gemm' && weight.dims.length === 2
}

/** Each output channel has the input channel of the same number. */
function isDepthwise(node: Node): boolean {
  const dims = floatConstant(node, 1)?.dims
  return dims?.[1] === 1 && getInt(node, 'group', 1) === dims[0]
}

/** A bias of one number per channel, with no factor of its own. */
function hasPlainBias(node: Node): boolean {
  const dims = floatConstant(node, 2)?.dims
  return dims?.length === 1 && dims[0] === channelsOut(node) && getFloat(node, 'beta', 1) === 1
}

function isSpatial(node: Node): boolean {
  return node.opType === 'Conv'
}

function outAxis(node: Node): number {
  return node.opType === 'Conv' || getInt(node, 'transB', 0) === 1 ? 0 : 1
}

function inAxis(node: Node): number {
  return isSpatial(node) && isDepthwise(node) ? 0 : 1 - outAxis(node)
}

function channelsOut(node: Node): number | undefined {
  return floatConstant(node, 1)?.dims[outAxis(node)]
}

function channelsIn(node: Node): number | undefined {
  return floatConstant(node, 1)?.dims[inAxis(node)]
}

function equalizePair({ first, second }: LayerPair): void {
  const [one, two] = [floatConstant(first, 1), floatConstant(second, 1)]
  if (one === undefined || two === undefined) return
  const after = largestAlong(two, inAxis(second))
  const factors = largestAlong(one, outAxis(first)).map((before, channel) => factorOf(before, after[channel] as number))
  const inverse = factors.map((factor) => 1 / factor)
  scaleConstant(first, 1, outAxis(first), inverse)
  scaleConstant(first, 2, 0, inverse)
  scaleConstant(second, 1, inAxis(second), factors)
}

/** Channels without weights on one side stay as they are. A power of two, so that scaling rounds nothing. */
function factorOf(before: number, after: number): number {
  if (!(before > 0) || !(after > 0) || !Number.isFinite(before / after)) return 1
  const factor = Math.min(largestFactor, Math.max(smallestFactor, Math.sqrt(before / after)))
  return 2 ** Math.round(Math.log2(factor))
}
