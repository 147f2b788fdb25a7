import { getInt, getInts, getString } from '../ir/attribute.ts'
import type { Value } from '../ir/graph.ts'
import type { Dim } from '../ir/value-type.ts'
import type { Backward } from './rule.ts'

/** The window of a convolution or a pool along its spatial axes, `auto_pad` resolved. */
export interface Window {
  readonly kernel: readonly number[]
  readonly strides: readonly number[]
  readonly dilations: readonly number[]
  /** Before the data, and after it. */
  readonly begins: readonly number[]
  readonly ends: readonly number[]
}

/** Reads the window of a node as its attributes give it, without `auto_pad` SAME; `kernel` is what the weight says. */
export function fixedWindow(back: Backward, kernel: readonly Dim[] | undefined): Window {
  const { node } = back
  const sizes = getInts(node, 'kernel_shape') ?? kernel?.filter((size) => typeof size === 'number') ?? []
  if (sizes.length !== (kernel?.length ?? sizes.length)) return back.refuse('has a kernel of unknown size')
  const ones = sizes.map(() => 1)
  const isExplicit = getString(node, 'auto_pad', 'NOTSET') === 'NOTSET'
  const pads = isExplicit ? getInts(node, 'pads', []) : []
  return {
    kernel: sizes,
    strides: getInts(node, 'strides', ones),
    dilations: getInts(node, 'dilations', ones),
    begins: ones.map((_, axis) => pads[axis] ?? 0),
    ends: ones.map((_, axis) => pads[axis + ones.length] ?? 0),
  }
}

/** As `fixedWindow`, for data of spatial dims `spatial`, with `auto_pad` resolved. */
export function windowOf(back: Backward, spatial: readonly Dim[], kernel?: readonly Dim[]): Window {
  const bare = fixedWindow(back, kernel)
  const mode = getString(back.node, 'auto_pad', 'NOTSET')
  if (!mode.startsWith('SAME')) return bare
  const totals = spatial.map((dim, axis) => samePad(back, dim, bare, axis))
  const small = totals.map((total) => Math.floor(total / 2))
  const large = totals.map((total) => Math.ceil(total / 2))
  return mode === 'SAME_UPPER' ? { ...bare, begins: small, ends: large } : { ...bare, begins: large, ends: small }
}

type Bare = Pick<Window, 'kernel' | 'strides' | 'dilations'>

/** The padding that makes ⌈dim / stride⌉ windows fit. */
function samePad(back: Backward, dim: Dim, window: Bare, axis: number): number {
  const [stride, reach] = [window.strides[axis] ?? 1, reachOf(window, axis)]
  if (stride === 1) return reach - 1
  if (typeof dim !== 'number') return back.refuse('has strides and auto_pad, and its data a size that is not known')
  return Math.max(0, (Math.ceil(dim / stride) - 1) * stride + reach - dim)
}

/** Elements from the first to the last that one window covers. */
export function reachOf({ kernel, dilations }: Bare, axis: number): number {
  return ((kernel[axis] ?? 1) - 1) * (dilations[axis] ?? 1) + 1
}

/** Elements behind the last window, which no window covers; undefined where the size is not known. */
export function leftOver(window: Window, spatial: readonly Dim[], axis: number): number | undefined {
  const [dim, stride] = [spatial[axis], window.strides[axis] ?? 1]
  if (stride === 1) return 0
  if (typeof dim !== 'number') return undefined
  const covered = dim + (window.begins[axis] ?? 0) + (window.ends[axis] ?? 0) - reachOf(window, axis)
  return covered % stride
}

/** The window of a pool that rounds the number of windows up: the last one reaches into more padding. */
export function ceilWindow(back: Backward, window: Window, spatial: readonly Dim[]): Window {
  if (getInt(back.node, 'ceil_mode', 0) === 0) return window
  const windows = back.dims(back.y).slice(2)
  const ends = spatial.map((dim, axis) => {
    const count = windows[axis]
    if (typeof dim !== 'number' || typeof count !== 'number') return back.refuse('has data of an unknown size')
    const reach = (count - 1) * (window.strides[axis] ?? 1) + reachOf(window, axis) - dim - (window.begins[axis] ?? 0)
    return Math.max(window.ends[axis] ?? 0, reach)
  })
  return { ...window, ends }
}

/** The number of groups of a convolution. */
export function groupsOf({ node }: Backward): number {
  return getInt(node, 'group', 1)
}

export interface WindowGradient {
  /** [channels of dY, channels of the data / group, …kernel]. */
  readonly w: Value
  /** The data whose gradient it is. */
  readonly like: Value
  readonly window: Window
  readonly group: number
}

/**
 * The gradient of a convolution by its data: the transposed convolution of dY. Where the data's size is not known, one stride
 * more is made, and what is too much cut off.
 */
export function dataGradient(back: Backward, dy: Value, { w, like, window, group }: WindowGradient): Value {
  const spatial = back.dims(like).slice(2)
  const rest = spatial.map((_, axis) => leftOver(window, spatial, axis))
  const { strides, dilations, begins, ends } = window
  const output_padding = rest.map((extra, axis) => extra ?? (strides[axis] ?? 1) - 1)
  const pads = [...begins, ...ends]
  const made = back.op('ConvTranspose', [dy, w], { strides, dilations, pads, group, output_padding })
  const open = rest.flatMap((extra, axis) => (extra === undefined ? [axis + 2] : []))
  if (open.length === 0) return made
  const sizes = back.op('Gather', [back.shape(like), back.ints(open)])
  return back.op('Slice', [made, back.ints(open.map(() => 0)), sizes, back.ints(open)])
}
