import { getInt, getInts } from '../../../ir/attribute.ts'
import type { Node, Value } from '../../../ir/graph.ts'
import type { Dim } from '../../../ir/value-type.ts'
import { constantValue } from '../../../ops/index.ts'
import { scalarOf } from '../../constants.ts'
import type { RuleScope } from '../../rule.ts'
import { numbersAt } from '../no-ops.ts'

/** Queries, keys or values of all heads, as they were before they were split. */
export interface Heads {
  /** [batch, length, parts · heads · size] */
  readonly source: Value
  /** Which part of the last axis, where queries, keys and values lie in one. */
  readonly part: number | undefined
  readonly batch: Dim
  readonly length: Dim
  readonly count: number
  readonly size: number
  /** Which of batch, length, head and element each axis is. */
  readonly order: string
  /** The numbers it was multiplied by on the way. */
  readonly factor: number
}

/** Reads where a value [batch, heads, …] comes from, through Transposes and multiplications by numbers. */
export function readHeads(value: Value | undefined, scope: RuleScope): Heads | undefined {
  const { source, order, factor } = peel(value, [0, 1, 2, 3])
  const split = splitOf(source, scope)
  return split && { ...split, order: order.map((axis) => split.axes[axis]).join(''), factor }
}

interface Peeled {
  readonly source: Value | undefined
  readonly order: readonly number[]
  readonly factor: number
}

/** What is under Transposes, and Mul and Div by one number. */
export function peel(value: Value | undefined, order: readonly number[]): Peeled {
  let peeled: Peeled = { source: value, order, factor: 1 }
  for (let next = peelOne(peeled); next !== undefined; next = peelOne(peeled)) peeled = next
  return peeled
}

function peelOne({ source, order, factor }: Peeled): Peeled | undefined {
  const node = source?.producer
  if (node === undefined || node.domain !== '') return undefined
  if (node.opType === 'Transpose') {
    const perm = getInts(node, 'perm')
    return perm && { source: node.inputs[0], order: order.map((axis) => perm[axis] ?? axis), factor }
  }
  const scaled = scaledBy(node)
  return scaled && { source: scaled.value, order, factor: factor * scaled.factor }
}

function scaledBy(node: Node): { value: Value | undefined; factor: number } | undefined {
  const [a, b] = node.inputs
  if (node.opType === 'Div') {
    const divisor = numberOf(b)
    return divisor === undefined || divisor === 0 ? undefined : { value: a, factor: 1 / divisor }
  }
  if (node.opType !== 'Mul') return undefined
  const [left, right] = [numberOf(a), numberOf(b)]
  if (right !== undefined) return { value: a, factor: right }
  return left === undefined ? undefined : { value: b, factor: left }
}

/** A constant number that does not raise the rank of heads. */
function numberOf(value: Value | undefined): number | undefined {
  const tensor = constantValue(value)
  return tensor === undefined || tensor.dims.length > 4 ? undefined : scalarOf(tensor)
}

interface Split extends Pick<Heads, 'part' | 'batch' | 'length' | 'count' | 'size'> {
  readonly source: Value
  /** What each axis of the value is: (b)atch, (l)ength, (h)ead, (e)lement. */
  readonly axes: readonly string[]
}

function splitOf(value: Value | undefined, scope: RuleScope): Split | undefined {
  const picked = pickedOf(value)
  if (picked !== undefined) return splitPart(picked, scope)
  const [batch, length, count, size] = scope.types.of(value)?.dims ?? []
  const source = reshapedFrom(value, [batch, length, count, size], scope)
  if (source === undefined || typeof count !== 'number' || typeof size !== 'number') return undefined
  return {
    source,
    part: undefined,
    batch: batch ?? null,
    length: length ?? null,
    count,
    size,
    axes: ['b', 'l', 'h', 'e'],
  }
}

/** One of three of a value [batch, length, 3, heads, size] that was transposed. */
function splitPart({ value, axis, part }: Picked, scope: RuleScope): Split | undefined {
  const { source: whole, order, factor } = peel(value, [0, 1, 2, 3, 4])
  const [batch, length, parts, count, size] = scope.types.of(whole)?.dims ?? []
  const source = reshapedFrom(whole, [batch, length, parts, count, size], scope)
  if (source === undefined || factor !== 1 || order[axis] !== 2 || parts !== 3) return undefined
  if (typeof count !== 'number' || typeof size !== 'number') return undefined
  const axes = order.toSpliced(axis, 1).map((from) => ['b', 'l', '', 'h', 'e'][from] as string)
  return { source, part, batch: batch ?? null, length: length ?? null, count, size, axes }
}

/** What a Reshape made these dims of, if it only split the last axis. */
function reshapedFrom(
  value: Value | undefined,
  dims: readonly (Dim | undefined)[],
  scope: RuleScope,
): Value | undefined {
  const node = value?.producer
  const source = node?.inputs[0]
  if (node?.opType !== 'Reshape' || node.domain !== '' || source === undefined) return undefined
  return splitsLast(scope.types.of(source)?.dims, dims) ? source : undefined
}

/** Whether dims are those of a value [batch, length, width] with the last axis split. */
export function splitsLast(whole: readonly Dim[] | null | undefined, split: readonly (Dim | undefined)[]): boolean {
  const [batch, length, ...rest] = split
  if (whole?.length !== 3 || batch == null || length == null) return false
  const width = rest.reduce<number>((product, dim) => product * (typeof dim === 'number' ? dim : Number.NaN), 1)
  return whole[0] === batch && whole[1] === length && whole[2] === width
}

interface Picked {
  readonly value: Value
  readonly axis: number
  readonly part: number
}

/** One entry of an axis, taken by Gather, or by Split and Squeeze. */
function pickedOf(value: Value | undefined): Picked | undefined {
  const node = value?.producer
  if (node?.domain !== '') return undefined
  if (node.opType === 'Gather') {
    const part = constantValue(node.inputs[1])?.dims.length === 0 ? numberOf(node.inputs[1]) : undefined
    return picked(node.inputs[0], getInt(node, 'axis', 0), part)
  }
  const split = node.inputs[0]?.producer
  if (node.opType !== 'Squeeze' || split?.opType !== 'Split' || split.outputs.length !== 3) return undefined
  const axis = getInt(split, 'axis', 0)
  const squeezed = numbersAt(node, 'axes', 1)
  const part = split.outputs.indexOf(node.inputs[0] as Value)
  return squeezed?.length === 1 && squeezed[0] === axis ? picked(split.inputs[0], axis, part) : undefined
}

function picked(value: Value | undefined, axis: number, part: number | undefined): Picked | undefined {
  if (value === undefined || part === undefined || axis < 0 || part < 0) return undefined
  return { value, axis, part }
}
