import type { Node, Value } from '../../ir/graph.ts'
import type { Tensor } from '../../ir/tensor.ts'
import type { Dim } from '../../ir/value-type.ts'
import type { InferredTypes } from '../../ops/index.ts'
import type { Atoms, Lanes } from './atoms.ts'

/**
 * What an axis of a constant has to do with channels: its slices make them (`producer`), read them (`consumer`), or go
 * along, as a bias or the scale of a normalization does.
 */
type CutRole = 'producer' | 'consumer' | 'companion'

/** An axis of a constant that shrinks with the lanes. */
export interface Cut {
  readonly node: Node
  readonly input: number
  readonly value: Value
  readonly tensor: Tensor
  readonly axis: number
  readonly lanes: Lanes
  readonly role: CutRole
}

/** Tells which indices of an axis stay. */
export type Keep = (lanes: Lanes) => readonly number[]

/** Something of a node, other than a weight, that depends on the number of channels: a group, a target shape, sizes. */
export type Patch = (keep: Keep) => void

/** What a rule knows and says of the channels around its node. */
export interface Walk {
  readonly atoms: Atoms
  readonly opset: number
  /** Whether channels may be taken from under a normalization over them, which changes what it divides by. */
  readonly throughNorms: boolean
  readonly types: InferredTypes
  /** The axes of a value that carry channels, counted from 0. */
  lanesOf(value: Value | undefined): ReadonlyMap<number, Lanes>
  setLanes(value: Value | undefined, axis: number, lanes: Lanes): void
  dimsOf(value: Value | undefined): readonly Dim[] | undefined
  /** The tensor of an initializer that nobody can override. */
  constantOf(value: Value | undefined): Tensor | undefined
  /** Declares that an axis of the node's constant input shrinks with the lanes. */
  cut(node: Node, input: number, axis: number, lanes: Lanes, role: CutRole): void
  patch(patch: Patch): void
}

/** What becomes of the channels in a node: nothing to add, or why those it reads must all stay. */
export type ChannelRule = (node: Node, walk: Walk) => string | undefined

export type RuleTable = Readonly<Record<string, ChannelRule>>

/** Lets the lanes of one value go on in another, axis by axis. */
export function passLanes(
  walk: Walk,
  from: Value | undefined,
  to: Value | undefined,
  axisOf: (axis: number) => number = (axis) => axis,
): void {
  for (const [axis, lanes] of walk.lanesOf(from)) walk.setLanes(to, axisOf(axis), lanes)
}

/** Says that lanes stay, for a reason that this node gives, and yet go on through it. */
export function freezeAt(node: Node, walk: Walk, lanes: Lanes, reason: string): void {
  walk.atoms.freeze(lanes, `${node.opType} '${node.name}': ${reason}`)
}
