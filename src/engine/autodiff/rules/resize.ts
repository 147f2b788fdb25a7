import { getString } from '../../ir/attribute.ts'
import type { Node, Value } from '../../ir/graph.ts'
import { viewOf } from '../../ir/tensor.ts'
import { constantValue } from '../../ops/index.ts'
import type { Backward, GradientRule, RuleTable } from '../rule.ts'

/**
 * Resize is a linear map along each axis, one after another. The runtime itself tells the matrix of each: the same node applied to
 * an identity matrix (folded at load where sizes are known). Whole-number nearest repetition, the usual case, is a sum.
 */
const resize: GradientRule = (back) => [
  () => {
    const [from, to] = [back.dims(back.x), back.dims(back.dy)]
    if (getString(back.node, 'coordinate_transformation_mode', 'half_pixel') === 'tf_crop_and_resize') {
      back.refuse('crops as it resizes')
    }
    if (back.node.attributes.has('axes')) back.refuse('lists its axes')
    const known = (dims: readonly unknown[]): dims is readonly number[] => dims.every((dim) => typeof dim === 'number')
    if (!known(from.slice(2)) || !known(to.slice(2))) {
      const factors = wholeFactors(back)
      return factors === undefined ? back.refuse('has data of an unknown size') : poolRepetitions(back, factors)
    }
    const [sizes, resized] = [from.slice(2), to.slice(2)] as [number[], number[]]
    if (isRepetition(back, sizes, resized)) return sumRepetitions(back, sizes, resized)
    return sizes.reduce((value, _, axis) => {
      const [before, after] = [sizes[axis] as number, resized[axis] as number]
      return before === after ? value : contract(back, value, { axis: axis + 2, before, after })
    }, back.dy)
  },
  null,
  null,
  null,
]

const centred = new Set(['half_pixel', 'half_pixel_symmetric', 'pytorch_half_pixel'])

/** The factors of the spatial axes, where they are given instead of sizes. */
function scalesOf({ node }: Backward): Float32Array | undefined {
  const tensor = constantValue(node.inputs[2])
  return tensor?.dtype === 'float32' && tensor.dims[0] !== 0 ? viewOf(tensor, 'float32').slice(2) : undefined
}

/** Whether each element is repeated a whole number of times. */
function isRepetition(back: Backward, sizes: readonly number[], resized: readonly number[]): boolean {
  const { node } = back
  const open = back.dims(back.x).filter((dim) => typeof dim !== 'number')
  if (open.length > 1) return false
  if (scalesOf(back)?.every((scale) => Number.isInteger(scale)) === false) return false
  return sizes.every((size, axis) => (resized[axis] ?? 0) % size === 0) && takesNearest(node)
}

/** Whether whole factors repeat each element as often as they say. */
function takesNearest(node: Node): boolean {
  if (getString(node, 'mode', 'nearest') !== 'nearest') return false
  const place = getString(node, 'coordinate_transformation_mode', 'half_pixel')
  const rounding = getString(node, 'nearest_mode', 'round_prefer_floor')
  return rounding === 'floor' ? place === 'asymmetric' : rounding.startsWith('round') && centred.has(place)
}

/** The factors of the spatial axes where each repeats elements, whatever their number. */
function wholeFactors(back: Backward): readonly number[] | undefined {
  const scales = scalesOf(back)
  const whole = scales !== undefined && scales.every((scale) => Number.isInteger(scale) && scale >= 1)
  return whole && scales.length <= 3 && takesNearest(back.node) ? [...scales] : undefined
}

/** The sum over each block: its mean as often as it has elements. */
function poolRepetitions(back: Backward, factors: readonly number[]): Value {
  const means = back.op('AveragePool', [back.dy], { kernel_shape: factors, strides: factors })
  const elements = factors.reduce((product, factor) => product * factor, 1)
  return back.setType(back.mul(means, elements), back.type(back.x))
}

function sumRepetitions(back: Backward, sizes: readonly number[], resized: readonly number[]): Value {
  const [head, axes] = [back.dims(back.x).slice(0, 2), sizes.map((_, axis) => 3 + 2 * axis)]
  const apart = sizes.flatMap((size, axis) => [size, (resized[axis] ?? 0) / size])
  return back.reduce('Sum', back.reshape(back.dy, [...head, ...apart]), axes, false)
}

interface ResizedAxis {
  readonly axis: number
  readonly before: number
  readonly after: number
}

/** Multiplies along one axis by the transposed matrix of its resizing. */
function contract(back: Backward, value: Value, { axis, before, after }: ResizedAxis): Value {
  const last = back.dims(value).length - 1
  const matrix = axisMatrix(back, { axis, before, after })
  if (axis === last) return back.op('MatMul', [value, matrix])
  const swap = back.dims(value).map((_, at) => (at === axis ? last : at === last ? axis : at))
  return back.transpose(back.op('MatMul', [back.transpose(value, swap), matrix]), swap)
}

/** [after, before]: each row says what an output is made of. */
function axisMatrix(back: Backward, { axis, before, after }: ResizedAxis): Value {
  const { x, op, node, ints } = back
  const identity = back.floats(
    x,
    Array.from({ length: before * before }, (_, index) => (index % (before + 1) === 0 ? 1 : 0)),
    [1, 1, before, before],
  )
  // The factor that was given, not the ratio of sizes: they differ where a size was rounded.
  const scale = node.inputs[2] !== undefined && node.inputs[3] === undefined
  const one = back.floats(x, [1], [1])
  const factor = scale ? op('Gather', [back.input(2), ints([axis])]) : undefined
  const target = factor
    ? [op('Concat', [one, one, factor, one], { axis: 0 })]
    : [undefined, ints([1, 1, after, before])]
  const made = op('Resize', [identity, undefined, ...target])
  for (const [name, value] of node.attributes) made.producer?.setAttribute(name, value)
  return back.reshape(made, [after, before])
}

export const resizing = { Resize: resize } satisfies RuleTable
