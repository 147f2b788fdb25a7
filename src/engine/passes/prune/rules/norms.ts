import { getInt, getInts } from '../../../ir/attribute.ts'
import type { Node } from '../../../ir/graph.ts'
import { normalizeAxis } from '../../../ops/dims.ts'
import { freezeAt, passLanes, type ChannelRule, type RuleTable } from '../channels.ts'
import { intsAt } from './shape-inputs.ts'

/** Numbers per channel in the inputs listed. */
function perChannel(inputs: readonly number[]): ChannelRule {
  return (node, walk) => {
    for (const [axis, lanes] of walk.lanesOf(node.inputs[0])) {
      if (axis > 1) return 'it normalizes over them'
      if (axis === 0) continue
      if (inputs.some((input) => walk.constantOf(node.inputs[input])?.dims[0] !== lanes.length))
        return 'its parameters are not constants per channel'
      for (const input of inputs) walk.cut(node, input, 0, lanes, 'companion')
    }
    if (node.outputs.length > 1) return 'it gives the statistics of its batch'
    passLanes(walk, node.inputs[0], node.outputs[0])
    return undefined
  }
}

/** LayerNormalization and its kin: channels under it can go, but what it divides by is then another. */
const layerNorm: ChannelRule = (node, walk) => {
  const rank = walk.dimsOf(node.inputs[0])?.length
  if (rank === undefined) return 'its rank is not known'
  const first = normalizeAxis(getInt(node, 'axis', -1), rank) ?? 0
  const normalized = [...walk.lanesOf(node.inputs[0])].filter(([axis]) => axis >= first)
  if (node.outputs.length > 1) return 'it gives the statistics too'
  for (const [axis, lanes] of normalized) {
    if (!walk.throughNorms) freezeAt(node, walk, lanes, 'it normalizes over them; throughNorms would allow that')
    for (const input of [1, 2]) {
      const dims = walk.constantOf(node.inputs[input])?.dims
      if (node.inputs[input] === undefined) continue
      if (dims === undefined) return 'its parameters are not constants'
      const own = axis - rank + dims.length
      if (dims[own] === lanes.length) walk.cut(node, input, own, lanes, 'companion')
    }
  }
  passLanes(walk, node.inputs[0], node.outputs[0])
  return undefined
}

/** Sums and means: what goes on is what they do not run over. */
const reduction: ChannelRule = (node, walk) => {
  const lanes = walk.lanesOf(node.inputs[0])
  if (lanes.size === 0) return undefined
  const rank = walk.dimsOf(node.inputs[0])?.length
  const given = intsAt(node, walk, 'axes', 1)
  if (rank === undefined || given === 'open') return 'its axes are not known'
  if (given === undefined && getInt(node, 'noop_with_empty_axes', 0) === 1) return 'its axes are not known'
  const axes = (given ?? Array.from({ length: rank }, (_, axis) => axis)).map((axis) => (axis < 0 ? axis + rank : axis))
  if (axes.some((axis) => lanes.has(axis))) return 'it runs over them'
  const keeps = getInt(node, 'keepdims', 1) === 1
  passLanes(walk, node.inputs[0], node.outputs[0], (lane) =>
    keeps ? lane : lane - axes.filter((axis) => axis < lane).length,
  )
  return undefined
}

/** Softmax and its kin: one axis since opset 13, all from it on before. */
const softmax: ChannelRule = (node, walk) => {
  const rank = walk.dimsOf(node.inputs[0])?.length
  if (rank === undefined) return 'its rank is not known'
  const isOld = walk.opset < 13
  const axis = normalizeAxis(getInt(node, 'axis', isOld ? 1 : -1), rank) ?? 0
  for (const [lane, lanes] of walk.lanesOf(node.inputs[0]))
    if (lane === axis || (isOld && lane > axis)) freezeAt(node, walk, lanes, 'it compares them with each other')
  passLanes(walk, node.inputs[0], node.outputs[0])
  return undefined
}

/** Pools slide over space and leave channels alone. */
const pool: ChannelRule = (node, walk) => {
  if ([...walk.lanesOf(node.inputs[0]).keys()].some((axis) => axis > 1)) return 'it slides over them'
  const indices = node.outputs[1]
  if (indices !== undefined && indices.uses.size > 0) return 'its indices count channels'
  passLanes(walk, node.inputs[0], node.outputs[0])
  return undefined
}

const lpNorm: ChannelRule = (node, walk) => {
  const rank = walk.dimsOf(node.inputs[0])?.length ?? 0
  if (walk.lanesOf(node.inputs[0]).has(normalizeAxis(getInt(node, 'axis', -1), rank) ?? 0))
    return 'it normalizes over them'
  passLanes(walk, node.inputs[0], node.outputs[0])
  return undefined
}

function isUnderMeanVariance(node: Node, lanes: Iterable<number>): boolean {
  const axes = getInts(node, 'axes', [0, 2, 3])
  return [...lanes].some((lane) => axes.includes(lane))
}

export const normRules: RuleTable = {
  BatchNormalization: perChannel([1, 2, 3, 4]),
  InstanceNormalization: perChannel([1, 2]),
  LayerNormalization: layerNorm,
  RMSNormalization: layerNorm,
  SimplifiedLayerNormalization: layerNorm,
  LpNormalization: lpNorm,
  MeanVarianceNormalization(node, walk) {
    if (isUnderMeanVariance(node, walk.lanesOf(node.inputs[0]).keys())) return 'it normalizes over them'
    passLanes(walk, node.inputs[0], node.outputs[0])
    return undefined
  },
  Softmax: softmax,
  LogSoftmax: softmax,
  Hardmax: softmax,
  ...Object.fromEntries(
    ['L1', 'L2', 'LogSum', 'LogSumExp', 'Max', 'Mean', 'Min', 'Prod', 'Sum', 'SumSquare'].map((kind) => [
      `Reduce${kind}`,
      reduction,
    ]),
  ),
  ...Object.fromEntries(
    ['AveragePool', 'MaxPool', 'LpPool', 'GlobalAveragePool', 'GlobalMaxPool', 'GlobalLpPool'].map((name) => [
      name,
      pool,
    ]),
  ),
}
