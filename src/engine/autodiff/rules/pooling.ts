import { getInt } from '../../ir/attribute.ts'
import type { Value } from '../../ir/graph.ts'
import type { Dim } from '../../ir/value-type.ts'
import type { Backward, GradientRule, RuleTable } from '../rule.ts'
import { ceilWindow, dataGradient, leftOver, windowOf, type Window } from '../window.ts'

/**
 * Each element of dY goes to where the maximum came from. A second output tells, but with it the runtime's pool takes many
 * times as long; where windows lie side by side the data is compared with the output instead.
 */
const maxPool: GradientRule = (back) => {
  const { node, x } = back
  if (getInt(node, 'storage_order', 0) !== 0) return back.refuse('has indices in column-major order')
  const spatial = back.dims(x).slice(2)
  const window = windowOf(back, spatial)
  const compares = back.type(x).dtype === 'float32' && node.outputs.length === 1 && isTiling(window, spatial)
  return [() => (compares ? byComparison(back, window) : byIndices(back))]
}

/** Equal maxima of a window share the gradient. */
function byComparison(back: Backward, { kernel }: Window): Value {
  const { x, y, dy, op, mul, div } = back
  const count = kernel.reduce((product, size) => product * size, 1)
  const scales = back.floats(x, [1, 1, ...kernel], [kernel.length + 2])
  const repeated = (value: Value) => {
    const attributes = { mode: 'nearest', coordinate_transformation_mode: 'asymmetric', nearest_mode: 'floor' }
    return back.setType(op('Resize', [value, undefined, scales], attributes), back.type(x))
  }
  const isMax = op('CastLike', [op('Equal', [x, repeated(y)]), x])
  const share = op('AveragePool', [isMax], { kernel_shape: kernel, strides: kernel })
  return mul(isMax, repeated(div(dy, mul(share, count))))
}

function byIndices(back: Backward): Value {
  const { x, dy, op } = back
  const flat = (value: Value) => op('Reshape', [value, back.ints([-1])])
  const indices = back.outputs(2)[1] as Value
  const updates = [flat(back.zerosLike(x)), flat(indices), flat(dy)]
  return back.reshapeLike(op('ScatterElements', updates, { axis: 0, reduction: 'add' }), x)
}

const averagePool: GradientRule = (back) => [
  () => {
    const { x, dy } = back
    const [channels = null, ...spatial] = back.dims(x).slice(1)
    const window = windowOf(back, spatial)
    const share = back.div(dy, poolCounts(back, window, spatial))
    if (isTiling(window, spatial)) return spread(back, share, window)
    if (typeof channels !== 'number') return back.refuse('has an unknown number of channels')
    const dims = [channels, 1, ...window.kernel]
    const ones = Array.from({ length: dims.reduce((product, dim) => product * dim, 1) }, () => 1)
    const whole = ceilWindow(back, window, spatial)
    return dataGradient(back, share, { w: back.floats(x, ones, dims), like: x, window: whole, group: channels })
  },
]

/** Whether each element is in exactly one window. */
function isTiling(window: Window, spatial: readonly Dim[]): boolean {
  return spatial.every(
    (dim, axis) =>
      typeof dim === 'number' &&
      window.kernel[axis] === window.strides[axis] &&
      window.dilations[axis] === 1 &&
      window.begins[axis] === 0 &&
      window.ends[axis] === 0 &&
      leftOver(window, spatial, axis) === 0,
  )
}

/** Repeats each element over its window. */
function spread(back: Backward, share: Value, { kernel }: Window): Value {
  const axes = kernel.map((_, axis) => 3 + 2 * axis)
  const apart = back.op('Unsqueeze', [share, back.ints(axes)])
  const repeats = [1, 1, ...kernel.flatMap((size) => [1, size])]
  return back.reshapeLike(back.op('Expand', [apart, back.ints(repeats)]), back.x)
}

/** How many elements each window averages: a number where it is the same for all. */
function poolCounts(back: Backward, window: Window, spatial: readonly Dim[]): Value | number {
  const full = window.kernel.reduce((product, size) => product * size, 1)
  const isPadded = [...window.begins, ...window.ends].some((pad) => pad > 0)
  const countsPads = getInt(back.node, 'count_include_pad', 0) === 1
  const isCeil = getInt(back.node, 'ceil_mode', 0) === 1
  if (!isCeil && (!isPadded || countsPads)) return full
  if (spatial.every((dim) => typeof dim === 'number')) return knownCounts(back, window, spatial, countsPads)
  if (isCeil) return back.refuse('rounds up the number of its windows, and its data has an unknown size')
  if (window.dilations.some((dilation) => dilation !== 1)) {
    return back.refuse('is padded and dilated, and its data has an unknown size')
  }
  const { strides, begins, ends, kernel } = window
  const shape = back.op('Concat', [back.ints([1, 1]), back.op('Shape', [back.x], { start: 2 })], { axis: 0 })
  const ones = back.op('Expand', [back.floats(back.x, [1]), shape])
  const attributes = { kernel_shape: kernel, strides, pads: [...begins, ...ends], count_include_pad: 1 }
  return back.mul(back.op('AveragePool', [ones], attributes), full)
}

function knownCounts(back: Backward, window: Window, spatial: readonly number[], countsPads: boolean): Value {
  const perAxis = back
    .dims(back.y)
    .slice(2)
    .map((windows, axis) =>
      Array.from({ length: Number(windows) }, (_, at) => covered(window, spatial, { axis, at, countsPads })),
    )
  const counts = perAxis.reduce((all, axis) => all.flatMap((one) => axis.map((other) => one * other)), [1])
  return back.floats(back.x, counts, [1, 1, ...perAxis.map((axis) => axis.length)])
}

/** Elements of one window along one axis that count. */
function covered(
  window: Window,
  spatial: readonly number[],
  { axis, at, countsPads }: { axis: number; at: number; countsPads: boolean },
): number {
  const [begin = 0, end = 0, dim = 0] = [window.begins[axis], window.ends[axis], spatial[axis]]
  const [low, high] = countsPads ? [-begin, dim + end] : [0, dim]
  const start = at * (window.strides[axis] ?? 1) - begin
  const places = Array.from({ length: window.kernel[axis] ?? 1 }, (_, k) => start + k * (window.dilations[axis] ?? 1))
  return places.filter((place) => place >= low && place < high).length
}

const spatialAxes = (back: Backward) =>
  back
    .dims(back.x)
    .slice(2)
    .map((_, axis) => axis + 2)

const globalAveragePool: GradientRule = (back) => [
  () => {
    const { x, dy } = back
    const spatial = back.dims(x).slice(2)
    if (spatial.every((dim) => typeof dim === 'number')) {
      const count = spatial.reduce((product, dim) => product * dim, 1)
      return back.expandLike(back.mul(dy, 1 / count), x)
    }
    const sizes = back.op('ReduceProd', [back.op('Shape', [x], { start: 2 })], { keepdims: 0 })
    return back.expandLike(back.div(dy, back.op('CastLike', [sizes, x])), x)
  },
]

/** Equal maxima share the gradient. */
const globalMaxPool: GradientRule = (back) => [
  () => {
    const { x, y, dy, op } = back
    const isMax = op('CastLike', [op('Equal', [x, y]), x])
    return back.mul(isMax, back.div(dy, back.reduce('Sum', isMax, spatialAxes(back))))
  },
]

export const pooling = {
  AveragePool: averagePool,
  GlobalAveragePool: globalAveragePool,
  GlobalMaxPool: globalMaxPool,
  MaxPool: maxPool,
} satisfies RuleTable
