import type { Node, Value } from '../../../ir/graph.ts'
import type { Lanes } from '../atoms.ts'
import type { Walk } from '../channels.ts'

/** Operators that work on each element by itself: channels that meet are one, a constant per channel goes along. */
export function elementwiseRule(node: Node, walk: Walk): string | undefined {
  const inputs = node.inputs.flatMap((value, input) => (value === undefined ? [] : [{ value, input }]))
  if (inputs.every(({ value }) => walk.lanesOf(value).size === 0)) return undefined
  if (node.attributes.has('broadcast')) return 'it broadcasts as opset 6 did'
  const ranks = inputs.map(({ value }) => walk.dimsOf(value)?.length)
  if (!ranks.every((rank) => rank !== undefined)) return 'the rank of an input is not known'
  const rank = Math.max(...ranks)
  for (let axis = 0; axis < rank; axis += 1) {
    const slots = inputs.map(({ value, input }, index) => ({ value, input, axis: axis - rank + (ranks[index] ?? 0) }))
    const lanes = laneOf(slots, walk)
    if (lanes === undefined) continue
    const problem = joinAxis(node, slots, lanes, walk)
    if (problem !== undefined) return problem
    for (const output of node.outputs) walk.setLanes(output, axis, lanes)
  }
  return undefined
}

interface Slot {
  readonly value: Value
  readonly input: number
  /** Negative where the input has no such axis. */
  readonly axis: number
}

/** Of the inputs' lanes at an axis the widest: the others are repeated along it. */
function laneOf(slots: readonly Slot[], walk: Walk): Lanes | undefined {
  const all = slots.flatMap(({ value, axis }) => walk.lanesOf(value).get(axis) ?? [])
  if (all.length === 0) return undefined
  return slots
    .map(({ value, axis }) => walk.lanesOf(value).get(axis) ?? [])
    .reduce((widest, lanes) => (lanes.length > widest.length ? lanes : widest))
}

function joinAxis(node: Node, slots: readonly Slot[], lanes: Lanes, walk: Walk): string | undefined {
  for (const { value, input, axis } of slots) {
    if (axis < 0) continue
    const own = walk.lanesOf(value).get(axis)
    if (own !== undefined) {
      if (own.length === lanes.length) walk.atoms.joinAll(own, lanes)
      else walk.atoms.freeze(own, 'it is the only channel and repeated')
      continue
    }
    const dim = walk.dimsOf(value)?.[axis]
    if (dim === 1) continue
    if (walk.constantOf(value) === undefined) return `'${value.name}' may have as many values as it has channels`
    if (dim !== lanes.length) return `'${value.name}' does not have a value per channel`
    walk.cut(node, input, axis, lanes, 'companion')
  }
  return undefined
}
