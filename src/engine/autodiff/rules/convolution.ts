import { getInts, getString } from '../../ir/attribute.ts'
import type { Dim } from '../../ir/value-type.ts'
import type { Backward, GradientRule, RuleTable } from '../rule.ts'
import { weightGradient } from '../weight-gradient.ts'
import { dataGradient, fixedWindow, groupsOf, reachOf, windowOf, type Window } from '../window.ts'

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
