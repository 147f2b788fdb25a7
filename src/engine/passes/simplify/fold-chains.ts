import { byteLength } from '../../ir/dtype.ts'
import type { Node, Value } from '../../ir/graph.ts'
import { graphsWithin, type Model } from '../../ir/model.ts'
import { topologicalOrder } from '../../ir/order.ts'
import { elementCount } from '../../ir/tensor.ts'
import { constantValue, type InferredTypes } from '../../ops/index.ts'

/** Nodes that compute with constants and each other's results only, in order of execution. */
export interface Chain {
  readonly nodes: readonly Node[]
  /** Bytes by which the file grows when other nodes read results instead; negative where it shrinks. */
  readonly growth: number
}

/** Constants that many nodes share without having to do with each other, such as axes. */
const smallBytes = 64

/**
 * Finds what can be computed ahead, in parts that share neither results nor constants of some size. Only of a whole part
 * can be told what the file gains: slices of a weight grow it until the Concat that reads them is computed as well.
 * @param isCandidate whether a node may be computed at all
 * @param most bytes that a result may have, unless its inputs have more
 */
export function findChains(
  model: Model,
  types: InferredTypes,
  isCandidate: (node: Node) => boolean,
  most: number,
): Chain[] {
  const members = new Set<Node>()
  const sizes = new Map<Value, number>()
  for (const graph of graphsWithin(model.graph)) {
    for (const node of topologicalOrder(graph).order) {
      if (!isCandidate(node)) continue
      const inputs = node.inputs.map((input) => (input === undefined ? 0 : sizeOf(input, sizes)))
      const outputs = node.outputs.map((output) => inferredBytes(output, types))
      if (!isWithin(outputs, Math.max(most, sum(inputs)))) continue
      members.add(node)
      node.outputs.forEach((output, index) => sizes.set(output, outputs[index] as number))
    }
  }
  return partsOf(members, sizes).map((nodes) => ({ nodes, growth: growthOf(nodes, sizes) }))
}

/** Whether all sizes are known and small enough together; those of inputs that are not constant are not known. */
function isWithin(bytes: readonly number[], most: number): boolean {
  return !Number.isNaN(most) && sum(bytes) <= most
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, each) => total + each, 0)
}

/** Bytes of a result or constant; NaN of what is neither. */
function sizeOf(value: Value, sizes: ReadonlyMap<Value, number>): number {
  const tensor = constantValue(value)
  return sizes.get(value) ?? (tensor === undefined || tensor.dtype === 'string' ? Number.NaN : tensor.bytes.byteLength)
}

function inferredBytes(value: Value, types: InferredTypes): number {
  const type = types.of(value)
  if (type?.dims == null || type.dtype === 'string') return Number.NaN
  const dims = type.dims.filter((dim) => typeof dim === 'number')
  return dims.length === type.dims.length ? byteLength(type.dtype, elementCount(dims)) : Number.NaN
}

/** Nodes apart where no value connects them. */
function partsOf(members: ReadonlySet<Node>, sizes: ReadonlyMap<Value, number>): Node[][] {
  const leaders = new Map<Value, Value>()
  for (const node of members) {
    const own = leaderOf(node.outputs[0] as Value, leaders)
    for (const value of [...node.inputs, ...node.outputs]) {
      if (value === undefined || !isConnecting(value, sizes)) continue
      const other = leaderOf(value, leaders)
      if (other !== own) leaders.set(other, own)
    }
  }
  return [...Map.groupBy(members, ({ outputs }) => leaderOf(outputs[0] as Value, leaders)).values()]
}

/** The value that stands for all that are connected with this one; the way to it is made short. */
function leaderOf(value: Value, leaders: Map<Value, Value>): Value {
  let leader = value
  for (let next = leaders.get(leader); next !== undefined; next = leaders.get(leader)) leader = next
  if (leader !== value) leaders.set(value, leader)
  return leader
}

function isConnecting(value: Value, sizes: ReadonlyMap<Value, number>): boolean {
  return sizes.has(value) || sizeOf(value, sizes) > smallBytes
}

function growthOf(nodes: readonly Node[], sizes: ReadonlyMap<Value, number>): number {
  const going = new Set(nodes)
  const isInner = (value: Value) => !value.isGraphOutput && [...value.uses].every(({ node }) => going.has(node))
  const inputs = new Set(nodes.flatMap((node) => node.inputs.filter((input) => input !== undefined)))
  const freed = [...inputs].filter((value) => !sizes.has(value) && isInner(value))
  const written = nodes.flatMap((node) => node.outputs).filter((value) => !isInner(value))
  return sum(written.map((value) => sizeOf(value, sizes))) - sum(freed.map((value) => sizeOf(value, sizes)))
}
