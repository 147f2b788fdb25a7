import { attribute, getInt } from '../../../ir/attribute.ts'
import type { Node } from '../../../ir/graph.ts'
import type { Tensor } from '../../../ir/tensor.ts'
import type { Lanes } from '../atoms.ts'
import { passLanes, type RuleTable, type Walk } from '../channels.ts'
import { intsAt } from './shape-inputs.ts'

/** The layers: they read channels and make new ones. */
export const linearRules: RuleTable = {
  Conv(node, walk) {
    const weight = floatWeight(node, walk, 1)
    if (typeof weight === 'string') return weight
    if (hasLanesBeside(node, walk, 1)) return 'channels lie along the axes it slides over'
    const group = getInt(node, 'group', 1)
    const lanes = walk.lanesOf(node.inputs[0]).get(1)
    if (group > 1 && weight.dims[1] === 1) return depthwise(node, walk, lanes, weight)
    return grouped(node, walk, lanes, weight, group)
  },

  ConvTranspose(node, walk) {
    const weight = floatWeight(node, walk, 1)
    if (typeof weight === 'string') return weight
    if (hasLanesBeside(node, walk, 1)) return 'channels lie along the axes it slides over'
    if (getInt(node, 'group', 1) !== 1) return 'it has groups'
    const lanes = walk.lanesOf(node.inputs[0]).get(1)
    if (lanes !== undefined) walk.cut(node, 1, 0, lanes, 'consumer')
    return produce(node, walk, { count: weight.dims[1] ?? 0, weightInput: 1, weightAxis: 1, outputAxis: 1 })
  },

  MatMul(node, walk) {
    const [left, right] = node.inputs
    const weight = walk.constantOf(right)
    if (weight === undefined)
      return walk.constantOf(left) === undefined ? productOfActivations(node, walk) : 'its weight is its first input'
    const matrix = floatWeight(node, walk, 1)
    if (typeof matrix === 'string') return matrix
    const rank = walk.dimsOf(left)?.length
    if (matrix.dims.length !== 2 || rank === undefined || rank < 2) return 'it is no product with a matrix'
    for (const [axis, lanes] of walk.lanesOf(left)) {
      if (axis === rank - 1) walk.cut(node, 1, 0, lanes, 'consumer')
      else walk.setLanes(node.outputs[0], axis, lanes)
    }
    return produce(node, walk, { count: matrix.dims[1] ?? 0, weightInput: 1, weightAxis: 1, outputAxis: rank - 1 })
  },

  Gemm(node, walk) {
    const weight = floatWeight(node, walk, 1)
    if (typeof weight === 'string') return weight
    if (getInt(node, 'transA', 0) !== 0) return 'its first input is transposed'
    const [inner, outer] = getInt(node, 'transB', 0) === 0 ? [0, 1] : [1, 0]
    for (const [axis, lanes] of walk.lanesOf(node.inputs[0])) {
      if (axis === 1) walk.cut(node, 1, inner, lanes, 'consumer')
      else return 'channels lie along its rows'
    }
    return produce(node, walk, { count: weight.dims[outer] ?? 0, weightInput: 1, weightAxis: outer, outputAxis: 1 })
  },

  Gather(node, walk) {
    const [data, indices] = node.inputs
    const table = walk.constantOf(data)
    const rank = walk.dimsOf(indices)?.length
    if (walk.lanesOf(indices).size > 0 || rank === undefined) return 'its indices are not known'
    const axis = getInt(node, 'axis', 0)
    if (table !== undefined) {
      if (table.dims.length !== 2 || axis !== 0 || table.dtype !== 'float32') return undefined
      return produce(node, walk, { count: table.dims[1] ?? 0, weightInput: 0, weightAxis: 1, outputAxis: rank })
    }
    const dataRank = walk.dimsOf(data)?.length ?? 0
    const along = axis < 0 ? axis + dataRank : axis
    if (walk.lanesOf(data).has(along)) return 'it picks single channels'
    passLanes(walk, data, node.outputs[0], (lane) => (lane < along ? lane : lane + rank - 1))
    return undefined
  },
}

/** A layer's own part of `Slice`: rows of a constant table, such as position embeddings. */
export function sliceTable(node: Node, walk: Walk): string | undefined {
  const table = walk.constantOf(node.inputs[0])
  if (table?.dtype !== 'float32' || table.dims.length !== 2) return undefined
  const axes = intsAt(node, walk, 'axes', 3)
  if (!Array.isArray(axes) || axes.length !== 1 || axes[0] !== 0) return undefined
  return produce(node, walk, { count: table.dims[1] ?? 0, weightInput: 0, weightAxis: 1, outputAxis: 1 })
}

interface Production {
  readonly count: number
  readonly weightInput: number
  readonly weightAxis: number
  readonly outputAxis: number
}

/** New channels on the node's output; its weight and its bias shrink with them. */
function produce(node: Node, walk: Walk, production: Production): string | undefined {
  const { count, weightInput, weightAxis, outputAxis } = production
  const bias = biasAxis(node, walk, count)
  if (bias === 'open') return 'its bias is not a constant number per channel'
  const lanes = walk.atoms.create(count, node.outputs[0]?.name ?? '')
  walk.cut(node, weightInput, weightAxis, lanes, 'producer')
  if (bias !== undefined) walk.cut(node, 2, bias, lanes, 'companion')
  walk.setLanes(node.outputs[0], outputAxis, lanes)
  return undefined
}

/** What reads a table has no bias: its third input is something else. */
function isTableOp({ opType }: Node): boolean {
  return opType === 'Gather' || opType === 'Slice'
}

/** The axis of the bias that has a number per channel; undefined where there is none, or one for all. */
function biasAxis(node: Node, walk: Walk, count: number): number | 'open' | undefined {
  if (node.inputs[2] === undefined || isTableOp(node)) return undefined
  const bias = walk.constantOf(node.inputs[2])
  if (bias === undefined) return 'open'
  const last = bias.dims.at(-1)
  if (last === undefined || (last === 1 && count !== 1)) return undefined
  return last === count && bias.dims.every((dim, axis) => dim === 1 || axis === bias.dims.length - 1)
    ? bias.dims.length - 1
    : 'open'
}

/** Channel i of the input makes channels i·m … i·m + m − 1, and nothing else: they go together. */
function depthwise(node: Node, walk: Walk, lanes: Lanes | undefined, weight: Tensor): string | undefined {
  if (lanes === undefined) return undefined
  const multiplier = (weight.dims[0] ?? 0) / lanes.length
  if (!Number.isInteger(multiplier)) return 'its groups are not its channels'
  const bias = biasAxis(node, walk, weight.dims[0] ?? 0)
  if (bias === 'open') return 'its bias is not a constant number per channel'
  const made = lanes.flatMap((atom) => Array.from({ length: multiplier }, () => atom))
  walk.cut(node, 1, 0, made, 'companion')
  if (bias !== undefined) walk.cut(node, 2, bias, made, 'companion')
  walk.setLanes(node.outputs[0], 1, made)
  walk.patch((keep) => node.setAttribute('group', attribute.int(keep(lanes).length)))
  return undefined
}

/** The same channels go from every group, so that the groups stay of one size. */
function grouped(node: Node, walk: Walk, lanes: Lanes | undefined, weight: Tensor, group: number): string | undefined {
  const { atoms } = walk
  const [made = 0, read = 0] = weight.dims
  if (lanes !== undefined) {
    if (lanes.length !== read * group) return 'its groups do not divide its channels'
    for (const [index, atom] of lanes.entries()) atoms.join(atom, lanes[index % read] as number)
    walk.cut(node, 1, 1, lanes.slice(0, read), 'consumer')
  }
  const reason = produce(node, walk, { count: made, weightInput: 1, weightAxis: 0, outputAxis: 1 })
  const output = walk.lanesOf(node.outputs[0]).get(1) ?? []
  for (const [index, atom] of output.entries()) atoms.join(atom, output[index % (made / group)] as number)
  return reason
}

/** Attention scores and their products with values: rows, columns and heads go on, what is summed over must pair up. */
function productOfActivations(node: Node, walk: Walk): string | undefined {
  const [left, right] = node.inputs
  const [a, b] = [walk.lanesOf(left), walk.lanesOf(right)]
  if (a.size === 0 && b.size === 0) return undefined
  const [rankA, rankB] = [walk.dimsOf(left)?.length ?? 0, walk.dimsOf(right)?.length ?? 0]
  if (rankA !== rankB || rankA < 2) return 'its inputs have different ranks'
  const [summedA, summedB] = [a.get(rankA - 1), b.get(rankA - 2)]
  if ((summedA === undefined) !== (summedB === undefined)) return 'it sums channels with something else'
  if (summedA !== undefined && summedB !== undefined) walk.atoms.joinAll(summedA, summedB)
  for (let axis = 0; axis < rankA - 2; axis += 1) {
    const [one, other] = [a.get(axis), b.get(axis)]
    if ((one === undefined) !== (other === undefined)) return 'heads meet something that has none'
    if (one === undefined || other === undefined) continue
    walk.atoms.joinAll(one, other)
    walk.setLanes(node.outputs[0], axis, one)
  }
  const [rows, columns] = [a.get(rankA - 2), b.get(rankA - 1)]
  if (rows !== undefined) walk.setLanes(node.outputs[0], rankA - 2, rows)
  if (columns !== undefined) walk.setLanes(node.outputs[0], rankA - 1, columns)
  return undefined
}

function floatWeight(node: Node, walk: Walk, input: number): Tensor | string {
  const weight = walk.constantOf(node.inputs[input])
  if (weight === undefined) return 'its weight is not a constant'
  return weight.dtype === 'float32' ? weight : `its weight is ${weight.dtype}`
}

function hasLanesBeside(node: Node, walk: Walk, axis: number): boolean {
  return [...walk.lanesOf(node.inputs[0]).keys()].some((lane) => lane !== axis)
}
