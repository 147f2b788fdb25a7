import { attribute, getInt, getInts } from '../../../ir/attribute.ts'
import type { Node } from '../../../ir/graph.ts'
import { normalizeAxes, normalizeAxis } from '../../../ops/dims.ts'
import { numbersOf } from '../../../rewrite/constants.ts'
import type { Lanes } from '../atoms.ts'
import { passLanes, type Keep, type RuleTable, type Walk } from '../channels.ts'
import { sliceTable } from './linear.ts'
import { reshapeRule } from './reshape.ts'
import { intsAt, readsOtherDims, shapeElement, writeInts } from './shape-inputs.ts'

/** Operators that move elements: where their channels are afterwards. */
export const movementRules: RuleTable = {
  Reshape: reshapeRule,
  Flatten: reshapeRule,

  Transpose(node, walk) {
    const lanes = walk.lanesOf(node.inputs[0])
    const rank = walk.dimsOf(node.inputs[0])?.length
    const order = getInts(node, 'perm') ?? Array.from({ length: rank ?? 0 }, (_, axis) => (rank ?? 0) - 1 - axis)
    if (lanes.size > 0 && order.length === 0) return 'its rank is not known'
    passLanes(walk, node.inputs[0], node.outputs[0], (axis) => order.indexOf(axis))
    return undefined
  },

  Squeeze(node, walk) {
    const lanes = walk.lanesOf(node.inputs[0])
    if (lanes.size === 0) return undefined
    const axes = axesOf(node, walk, walk.dimsOf(node.inputs[0])?.length)
    if (axes === undefined) return 'its axes are not known'
    if (axes.some((axis) => lanes.has(axis))) return 'it takes their axis away'
    passLanes(walk, node.inputs[0], node.outputs[0], (lane) => lane - axes.filter((axis) => axis < lane).length)
    return undefined
  },

  Unsqueeze(node, walk) {
    const rank = walk.dimsOf(node.outputs[0])?.length
    if (walk.lanesOf(node.inputs[0]).size === 0) return undefined
    const axes = axesOf(node, walk, rank)
    if (axes === undefined || rank === undefined) return 'its axes are not known'
    const kept = Array.from({ length: rank }, (_, axis) => axis).filter((axis) => !axes.includes(axis))
    passLanes(walk, node.inputs[0], node.outputs[0], (lane) => kept[lane] ?? lane)
    return undefined
  },

  Concat(node, walk) {
    const rank = walk.dimsOf(node.inputs.find((value) => walk.lanesOf(value).size > 0))?.length
    if (rank === undefined)
      return node.inputs.every((value) => walk.lanesOf(value).size === 0) ? undefined : 'its rank is not known'
    const along = normalizeAxis(getInt(node, 'axis', 1), rank) ?? 0
    const axes = new Set(node.inputs.flatMap((value) => [...walk.lanesOf(value).keys()]))
    for (const axis of axes) {
      const problem = axis === along ? appendLanes(node, walk, axis) : joinInputs(node, walk, axis)
      if (problem !== undefined) return problem
    }
    return undefined
  },

  Split(node, walk) {
    const lanes = walk.lanesOf(node.inputs[0])
    const rank = walk.dimsOf(node.inputs[0])?.length ?? 0
    const along = normalizeAxis(getInt(node, 'axis', 0), rank) ?? 0
    for (const [axis, atoms] of lanes) {
      if (axis === along) {
        const problem = splitLanes(node, walk, axis, atoms)
        if (problem !== undefined) return problem
      } else for (const output of node.outputs) walk.setLanes(output, axis, atoms)
    }
    return undefined
  },

  Slice(node, walk) {
    const lanes = walk.lanesOf(node.inputs[0])
    if (lanes.size === 0) return sliceTable(node, walk)
    const rank = walk.dimsOf(node.inputs[0])?.length
    const starts = intsAt(node, walk, 'starts', 1)
    const listed = intsAt(node, walk, 'axes', 3) ?? (Array.isArray(starts) ? starts.map((_, axis) => axis) : 'open')
    const axes = rank === undefined || listed === 'open' ? undefined : normalizeAxes(listed, rank)
    if (axes === undefined) return 'its axes are not known'
    for (const [axis, atoms] of lanes) {
      if (!axes.includes(axis)) walk.setLanes(node.outputs[0], axis, atoms)
      else {
        const problem = sliceLanes(node, walk, { axis, at: axes.indexOf(axis) }, atoms)
        if (problem !== undefined) return problem
      }
    }
    return undefined
  },

  Pad(node, walk) {
    const lanes = walk.lanesOf(node.inputs[0])
    const pads = intsAt(node, walk, 'pads', 1)
    if (lanes.size === 0) return undefined
    if (!Array.isArray(pads) || node.inputs[3] !== undefined) return 'its pads are not known'
    const rank = pads.length / 2
    if ([...lanes.keys()].some((axis) => pads[axis] !== 0 || pads[axis + rank] !== 0)) return 'it adds to them'
    passLanes(walk, node.inputs[0], node.outputs[0])
    return undefined
  },

  Resize: (node, walk) => resize(node, walk, walk.opset >= 11 ? 2 : 1),
  Upsample: (node, walk) => resize(node, walk, 1),

  Expand(node, walk) {
    for (const [axis, lanes] of walk.lanesOf(node.inputs[0])) {
      const [from, to] = [walk.dimsOf(node.inputs[0])?.length, walk.dimsOf(node.outputs[0])?.length]
      const shapeRank = walk.dimsOf(node.inputs[1])?.[0]
      if (from === undefined || to === undefined || typeof shapeRank !== 'number') return 'its shapes are not known'
      const at = axis - from + shapeRank
      const element = at < 0 ? undefined : shapeElement(node, walk, 1, at)
      if (at >= 0 && element === undefined) return 'the size it gives them is computed'
      if (element !== undefined && element.value !== 1) {
        if (element.value !== lanes.length) return 'it repeats them'
        walk.patch((keep) => element.write(keep(lanes).length))
      }
      walk.setLanes(node.outputs[0], axis - from + to, lanes)
    }
    return undefined
  },

  Tile(node, walk) {
    const repeats = intsAt(node, walk, '', 1)
    for (const [axis, lanes] of walk.lanesOf(node.inputs[0])) {
      if (!Array.isArray(repeats) || repeats[axis] !== 1) return 'it repeats them'
      walk.setLanes(node.outputs[0], axis, lanes)
    }
    return undefined
  },

  Shape(node, walk) {
    const [first] = node.outputs
    if (first === undefined) return undefined
    const rank = walk.dimsOf(node.inputs[0])?.length ?? 0
    const start = fromEnd(getInt(node, 'start', 0), rank)
    const end = fromEnd(getInt(node, 'end', rank), rank)
    for (const axis of walk.lanesOf(node.inputs[0]).keys()) {
      if (axis < start || axis >= end) continue
      if (!readsOtherDims(first, axis - start, walk)) return 'their number is computed with'
    }
    return undefined
  },
}

const fromEnd = (axis: number, rank: number) => (axis < 0 ? axis + rank : axis)

function axesOf(node: Node, walk: Walk, rank: number | undefined): number[] | undefined {
  const axes = intsAt(node, walk, 'axes', 1)
  return Array.isArray(axes) && rank !== undefined ? normalizeAxes(axes, rank) : undefined
}

function resize(node: Node, walk: Walk, input: number): string | undefined {
  const lanes = walk.lanesOf(node.inputs[0])
  if (lanes.size === 0) return undefined
  const tensor = walk.constantOf(node.inputs[input])
  const scales = tensor && numbersOf(tensor)
  if (node.attributes.has('axes')) return 'its axes are listed'
  if (scales === undefined || ![...lanes.keys()].every((axis) => scales[axis] === 1)) return 'its scales are not known'
  passLanes(walk, node.inputs[0], node.outputs[0])
  return undefined
}

/** The lanes of all inputs one after the other; what has none stays whole. */
function appendLanes(node: Node, walk: Walk, axis: number): string | undefined {
  const parts: Lanes[] = []
  for (const value of node.inputs) {
    const lanes = walk.lanesOf(value).get(axis)
    const dim = walk.dimsOf(value)?.[axis]
    if (lanes === undefined && typeof dim !== 'number') return 'the size of an input is not known'
    parts.push(lanes ?? walk.atoms.createFixed(dim as number, 'it is not made by a layer'))
  }
  walk.setLanes(node.outputs[0], axis, parts.flat())
  return undefined
}

function joinInputs(node: Node, walk: Walk, axis: number): string | undefined {
  const all = node.inputs.map((value) => walk.lanesOf(value).get(axis))
  const first = all.find((lanes) => lanes !== undefined)
  if (first === undefined) return undefined
  for (const [input, lanes] of all.entries()) {
    if (lanes !== undefined) walk.atoms.joinAll(first, lanes)
    else if (walk.constantOf(node.inputs[input]) === undefined) return 'an input has no channels that could go along'
    else walk.cut(node, input, axis, first, 'companion')
  }
  walk.setLanes(node.outputs[0], axis, first)
  return undefined
}

function splitLanes(node: Node, walk: Walk, axis: number, lanes: Lanes): string | undefined {
  const given = intsAt(node, walk, 'split', 1)
  if (given === 'open') return 'its sizes are computed'
  const even = Math.ceil(lanes.length / node.outputs.length)
  const sizes = given ?? node.outputs.map((_, index) => Math.min(even, lanes.length - index * even))
  let start = 0
  const parts = sizes.map((size) => lanes.slice(start, (start += size)))
  for (const [index, output] of node.outputs.entries()) walk.setLanes(output, axis, parts[index] ?? [])
  walk.patch((keep) => writeSizes(node, walk, parts, keep))
  return undefined
}

function writeSizes(node: Node, walk: Walk, parts: readonly Lanes[], keep: Keep): void {
  const sizes = parts.map((part) => keep(part).length)
  if (sizes.every((size, index) => size === parts[index]?.length)) return
  node.removeAttribute('num_outputs')
  if (walk.opset >= 13) writeInts(node, 'split', 1, sizes)
  else node.setAttribute('split', attribute.ints(sizes))
}

function sliceLanes(
  node: Node,
  walk: Walk,
  { axis, at }: { readonly axis: number; readonly at: number },
  lanes: Lanes,
): string | undefined {
  const [starts, ends] = [intsAt(node, walk, 'starts', 1), intsAt(node, walk, 'ends', 2)]
  const steps = intsAt(node, walk, 'steps', 4)
  if (!Array.isArray(starts) || !Array.isArray(ends) || steps === 'open') return 'what it takes is computed'
  if ((steps?.[at] ?? 1) !== 1) return 'it takes them with a step'
  const clamp = (index: number) => Math.min(Math.max(index < 0 ? index + lanes.length : index, 0), lanes.length)
  const [start, end] = [clamp(starts[at] as number), clamp(ends[at] as number)]
  const taken = lanes.slice(start, end)
  walk.setLanes(node.outputs[0], axis, taken)
  walk.patch((keep) => {
    const before = keep(lanes.slice(0, start)).length
    const [nowStarts, nowEnds] = [intsAt(node, walk, 'starts', 1), intsAt(node, walk, 'ends', 2)]
    if (!Array.isArray(nowStarts) || !Array.isArray(nowEnds)) return
    writeInts(node, 'starts', 1, nowStarts.with(at, before))
    writeInts(node, 'ends', 2, nowEnds.with(at, before + keep(taken).length))
  })
  return undefined
}
