import { getInts, getString } from '../../ir/attribute.ts'
import type { Value } from '../../ir/graph.ts'
import type { Dim } from '../../ir/value-type.ts'
import type { Backward, GradientRule, RuleTable } from '../rule.ts'
import { dataGradient, fixedWindow, groupsOf, leftOver, reachOf, windowOf, type Window } from '../window.ts'

/** The gradient of a convolution by its data is the transposed convolution, by its weight a convolution of the data with dY. */
const conv: GradientRule = (back) => {
  const { dims, x, dy } = back
  const w = back.input(1)
  const spatial = dims(x).slice(2)
  const window = windowOf(back, spatial, dims(w).slice(2))
  return [
    () => dataGradient(back, dy, { w, like: x, window, group: groupsOf(back) }),
    () => weightGradient(back, { data: x, dy, like: w, window, group: groupsOf(back) }),
    () => back.reduce('Sum', dy, [0, ...spatial.map((_, axis) => axis + 2)], false),
  ]
}

interface WeightOptions {
  readonly data: Value
  readonly dy: Value
  /** The weight whose gradient it is, [M, C/group, …kernel]. */
  readonly like: Value
  readonly window: Window
  readonly group: number
}

/**
 * dW[m, c, k] = Σₙₒ dy[n, m, o] · x[n, c, o·stride + k·dilation − pad]: a convolution over the data with batch and channels
 * exchanged, whose kernel is dY, and in which strides and dilations change places. A group's channels stay together.
 */
function weightGradient(back: Backward, { data, dy, like, window, group }: WeightOptions): Value {
  const axes = window.kernel.map((_, axis) => axis + 2)
  const swap = [1, 0, ...axes]
  const { strides, dilations, begins, ends } = window
  const perGroup = back.dims(like)[1]
  const exchanged = group === 1 ? back.transpose(data, swap) : groupedData(back, data, { group, perGroup })
  const made = back.op('Conv', [exchanged, back.transpose(dy, swap)], {
    strides: dilations,
    dilations: strides,
    pads: [...begins, ...ends],
    group,
  })
  // Elements behind the last window make the result larger than the kernel.
  const spatial = back.dims(data).slice(2)
  const isWhole = axes.every((_, axis) => isExact(window, spatial, axis))
  const starts = axes.map(() => 0)
  const cut = isWhole ? made : back.slice(made, axes, starts, window.kernel)
  // With one channel a group, the dim of 1 is in the right place but for its order.
  return perGroup === 1 ? back.reshapeLike(cut, like) : back.transpose(cut, swap)
}

function isExact(window: Window, spatial: readonly Dim[], axis: number): boolean {
  const rest = leftOver(window, spatial, axis)
  return rest !== undefined && rest < (window.dilations[axis] ?? 1)
}

interface Groups {
  readonly group: number
  readonly perGroup: Dim | undefined
}

/** [N, G·C, …] as [C, G·N, …]. */
function groupedData(back: Backward, data: Value, { group, perGroup }: Groups): Value {
  if (typeof perGroup !== 'number') return back.refuse('has groups of an unknown number of channels')
  const axes = back
    .dims(data)
    .slice(2)
    .map((_, axis) => axis + 3)
  if (perGroup === 1) {
    const exchanged = back.transpose(data, [1, 0, ...axes.map((axis) => axis - 1)])
    return back.op('Reshape', [exchanged, reshapeHead(back, data, [1, -1])])
  }
  const split = back.op('Reshape', [data, reshapeHead(back, data, [0, group, perGroup])])
  const exchanged = back.transpose(split, [2, 1, 0, ...axes])
  return back.op('Reshape', [exchanged, reshapeHead(back, data, [perGroup, -1])])
}

/** The target of a Reshape that changes the leading dims: `head`, then the spatial dims of `data`. */
function reshapeHead(back: Backward, data: Value, head: readonly number[]): Value {
  const spatial = back.dims(data).slice(2)
  if (spatial.every((dim) => typeof dim === 'number')) return back.ints([...head, ...spatial])
  return back.op('Concat', [back.ints(head), back.op('Shape', [data], { start: 2 })], { axis: 0 })
}

/** The other way round: by the data a convolution, by the weight the one of Conv with data and dY exchanged. */
const convTranspose: GradientRule = (back) => {
  const { node, dims, x, dy } = back
  const w = back.input(1)
  const window = transposedWindow(back, dims(x).slice(2), dims(w).slice(2))
  const { strides, dilations, begins, ends } = window
  const group = groupsOf(back)
  const extra = Math.max(0, ...getInts(node, 'output_padding', []).map((each, axis) => each - (strides[axis] ?? 1) + 1))
  return [
    () => {
      const made = back.op('Conv', [dy, w], { strides, dilations, pads: [...begins, ...ends], group })
      const axes = begins.map((_, axis) => axis + 2)
      if (extra === 0) return made
      const sizes = back.op('Gather', [back.shape(x), back.ints(axes)])
      return back.op('Slice', [made, back.ints(axes.map(() => 0)), sizes, back.ints(axes)])
    },
    () => weightGradient(back, { data: dy, dy: x, like: w, window, group }),
    () => back.reduce('Sum', dy, [0, ...begins.map((_, axis) => axis + 2)], false),
  ]
}

/** The window, with padding that `output_shape` or `auto_pad` leave open made what it must be. */
function transposedWindow(back: Backward, spatial: readonly Dim[], kernel: readonly Dim[]): Window {
  const { node } = back
  const mode = getString(node, 'auto_pad', 'NOTSET')
  const isSame = mode.startsWith('SAME')
  const bare = fixedWindow(back, kernel)
  if (!isSame && !node.attributes.has('output_shape')) return bare
  const resized = back.dims(back.y).slice(2)
  const extra = getInts(node, 'output_padding', [])
  const totals = spatial.map((dim, axis) => {
    const size = resized[axis]
    if (typeof dim !== 'number' || typeof size !== 'number') return back.refuse('has data of an unknown size')
    return Math.max(0, (bare.strides[axis] ?? 1) * (dim - 1) + (extra[axis] ?? 0) + reachOf(bare, axis) - size)
  })
  const small = totals.map((total) => Math.floor(total / 2))
  const large = totals.map((total) => Math.ceil(total / 2))
  return mode === 'SAME_UPPER' ? { ...bare, begins: small, ends: large } : { ...bare, begins: large, ends: small }
}

export const convolutions = { Conv: conv, ConvTranspose: convTranspose } satisfies RuleTable
