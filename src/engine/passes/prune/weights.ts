import { getInt } from '../../ir/attribute.ts'
import type { Node, Value } from '../../ir/graph.ts'
import type { Model } from '../../ir/model.ts'
import { elementCount, viewOf, type Tensor } from '../../ir/tensor.ts'
import { constantValue } from '../../ops/index.ts'
import type { Note } from '../pass.ts'
import { isExcluded } from '../quantize/linear-nodes.ts'

/** A float weight of a layer of the main graph. */
export interface PrunableWeight {
  readonly node: Node
  readonly value: Value
  readonly dims: readonly number[]
  readonly values: Float32Array
  /** The axis of the weight along which input channels lie. */
  readonly inputAxis: number
  /** The axis of the node's input that it reads; −1 is the last. */
  readonly dataAxis: number
  readonly group: number
}

export interface WeightFilter {
  readonly ops: readonly string[]
  readonly exclude: readonly string[]
  readonly minElements: number
}

/** The weights of a model that options let be pruned, each once, and why others stay. */
export function findWeights(model: Model, filter: WeightFilter): { weights: PrunableWeight[]; skipped: Note[] } {
  const weights = new Map<Value, PrunableWeight>()
  const skipped: Note[] = []
  for (const node of model.graph.nodes) {
    if (node.domain !== '' || !filter.ops.includes(node.opType)) continue
    const weight = readWeight(node, model, filter)
    if (typeof weight === 'string')
      skipped.push({ node: node.name, op: node.opType, action: 'skipped', reason: weight })
    else if (!weights.has(weight.value)) weights.set(weight.value, weight)
  }
  return { weights: [...weights.values()], skipped }
}

function readWeight(node: Node, model: Model, { exclude, minElements }: WeightFilter): PrunableWeight | string {
  if (isExcluded(node, exclude)) return 'excluded by the options'
  const value = node.inputs[1]
  const tensor = constantValue(value)
  if (value === undefined || tensor === undefined || !model.graph.initializers.has(value))
    return 'its weight is not a constant second input'
  if (tensor.dtype !== 'float32') return `its weight is ${tensor.dtype}`
  const count = elementCount(tensor.dims)
  if (count < minElements) return `its weight has ${count} elements, fewer than ${minElements}`
  if (tensor.dims.length < 2) return 'its weight is a vector'
  const values = viewOf(tensor, 'float32')
  if (!values.every(Number.isFinite)) return 'its weight is not finite'
  return { node, value, dims: tensor.dims, values, ...layoutOf(node, tensor) }
}

function layoutOf(node: Node, { dims }: Tensor): Pick<PrunableWeight, 'inputAxis' | 'dataAxis' | 'group'> {
  if (node.opType === 'MatMul') return { inputAxis: dims.length - 2, dataAxis: -1, group: 1 }
  if (node.opType === 'Gemm') {
    const inputAxis = getInt(node, 'transB', 0) === 0 ? 0 : 1
    return { inputAxis, dataAxis: getInt(node, 'transA', 0) === 0 ? 1 : 0, group: 1 }
  }
  return { inputAxis: node.opType === 'Conv' ? 1 : 0, dataAxis: 1, group: getInt(node, 'group', 1) }
}

/** The input channel that each element of a weight multiplies. */
export function inputChannelOf(weight: PrunableWeight): (position: number) => number {
  const { dims, inputAxis, group, node } = weight
  const inner = elementCount(dims.slice(inputAxis + 1))
  const size = dims[inputAxis] ?? 1
  const within = (position: number) => Math.floor(position / inner) % size
  if (node.opType !== 'Conv' || group === 1) return within
  const perGroup = elementCount(dims) / group
  return (position) => Math.floor(position / perGroup) * size + within(position)
}
