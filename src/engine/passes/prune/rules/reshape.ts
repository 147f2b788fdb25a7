import type { Node } from '../../../ir/graph.ts'
import type { Dim } from '../../../ir/value-type.ts'
import type { Atom, Lanes } from '../atoms.ts'
import type { ChannelRule, Walk } from '../channels.ts'
import { shapeElement } from './shape-inputs.ts'

/** Where the channels of an axis are after a reshape. */
interface Moved {
  readonly axis: number
  readonly lanes: Lanes
}

/**
 * Reshape and Flatten. An axis may go on as it is, be merged with its neighbours (a channel is then a run of positions, or
 * several), or be split, as into heads: then a whole head goes or stays.
 */
export const reshapeRule: ChannelRule = (node, walk) => {
  const source = walk.lanesOf(node.inputs[0])
  if (source.size === 0) return undefined
  const from = walk.dimsOf(node.inputs[0])
  const to = walk.dimsOf(node.outputs[0])
  if (from === undefined || to === undefined) return 'its shapes are not known'
  for (const [axis, lanes] of source) {
    const moved = moveLanes(from, targetDims(node, walk, to), { axis, lanes }, walk)
    if (typeof moved === 'string') return moved
    const problem = node.opType === 'Reshape' ? patchTarget(node, walk, axis, moved) : undefined
    if (problem !== undefined) return problem
    walk.setLanes(node.outputs[0], moved.axis, moved.lanes)
  }
  return undefined
}

/** Stands for a dim that a 0 in the target copies, where its size is unknown. */
const copied = Symbol('copied')
type TargetDim = Dim | typeof copied

/** What copies a dim is that dim, even where its size is unknown. */
function targetDims(node: Node, walk: Walk, to: readonly Dim[]): readonly TargetDim[] {
  if (node.opType !== 'Reshape') return to
  return to.map((dim, axis) => (dim === null && shapeElement(node, walk, 1, axis)?.value === 0 ? copied : dim))
}

function patchTarget(node: Node, walk: Walk, axis: number, { axis: to, lanes }: Moved): string | undefined {
  const element = shapeElement(node, walk, 1, to)
  if (element === undefined) return 'the size it gives them is computed'
  if (element.value === -1 || (element.value === 0 && axis === to)) return undefined
  if (element.value !== lanes.length) return 'the size it gives them is not theirs'
  walk.patch((keep) => {
    const { length } = keep(lanes)
    if (length !== lanes.length) element.write(length)
  })
  return undefined
}

function moveLanes(from: readonly Dim[], to: readonly TargetDim[], { axis, lanes }: Moved, walk: Walk): Moved | string {
  const head = sharedHead(from, to)
  if (axis < head) return { axis, lanes }
  const tail = sharedTail(from, to, head)
  if (axis >= from.length - tail) return { axis: axis - from.length + to.length, lanes }
  const pair = matchedBlocks(from, to, axis, { head, tail })
  if (pair === undefined) return 'it mixes them with axes of unknown size'
  const { block, target, start } = pair
  const at = axis - pair.from
  const wide = target.flatMap((dim, index) => (dim > 1 ? [index] : []))
  const others = block.filter((dim, index) => dim > 1 && index !== at)
  if (wide.length === 1) {
    const merged = start + (wide[0] as number)
    return { axis: merged, lanes: mergeLanes(block, at, lanes) }
  }
  if (others.length > 0 || wide.length === 0) return 'it mixes them with other axes'
  // [heads, size], or [3, heads, size] of a query, key and value in one: heads are the second to last.
  const heads = wide.at(-2) as number
  return { axis: start + heads, lanes: splitLanes(target, heads, lanes, walk) }
}

interface Blocks {
  readonly block: readonly number[]
  readonly target: readonly number[]
  /** Where the blocks begin in the input and in the output. */
  readonly from: number
  readonly start: number
}

/** Axes that hold the same elements before and after: what differs, or as much of its end as has equal, known sizes. */
function matchedBlocks(
  from: readonly Dim[],
  to: readonly TargetDim[],
  axis: number,
  { head, tail }: { readonly head: number; readonly tail: number },
): Blocks | undefined {
  const block = from.slice(head, from.length - tail)
  const target = to.slice(head, to.length - tail)
  if (block.every(isSize) && target.every(isSize)) return { block, target, from: head, start: head }
  for (let first = axis; first >= head; first -= 1) {
    const part = from.slice(first, from.length - tail)
    if (!part.every(isSize)) return undefined
    for (let start = to.length - tail - 1; start >= head; start -= 1) {
      const other = to.slice(start, to.length - tail)
      if (!other.every(isSize)) break
      if (product(other) === product(part)) return { block: part, target: other, from: first, start }
    }
  }
  return undefined
}

const isSize = (dim: TargetDim): dim is number => typeof dim === 'number'

function isSame(from: Dim | undefined, to: TargetDim | undefined): boolean {
  return to === copied || (from !== null && from === to)
}

function sharedHead(from: readonly Dim[], to: readonly TargetDim[]): number {
  let count = 0
  while (count < Math.min(from.length, to.length) && isSame(from[count], to[count])) count += 1
  return count
}

function sharedTail(from: readonly Dim[], to: readonly TargetDim[], head: number): number {
  let count = 0
  const most = Math.min(from.length, to.length) - head
  while (count < most && to.at(-1 - count) !== copied && isSame(from.at(-1 - count), to.at(-1 - count))) count += 1
  return count
}

function product(dims: readonly number[]): number {
  return dims.reduce((all, dim) => all * dim, 1)
}

/** The lanes of a merged axis, row-major. */
function mergeLanes(block: readonly number[], axis: number, lanes: Lanes): Lanes {
  const inner = product(block.slice(axis + 1))
  return Array.from(
    { length: product(block) },
    (_, position) => lanes[Math.floor(position / inner) % lanes.length] as Atom,
  )
}

/** The lanes of one of the axes that an axis is split into: all it has at an index go together. */
function splitLanes(target: readonly number[], axis: number, lanes: Lanes, { atoms }: Walk): Lanes {
  const inner = product(target.slice(axis + 1))
  const size = target[axis] as number
  const leaders: Atom[] = []
  for (const [position, atom] of lanes.entries()) {
    const index = Math.floor(position / inner) % size
    leaders[index] ??= atom
    atoms.join(leaders[index], atom)
  }
  return leaders
}
