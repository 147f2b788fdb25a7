import { getInt, getInts, getString } from '../../ir/attribute.ts'
import type { Value } from '../../ir/graph.ts'
import { viewOf } from '../../ir/tensor.ts'
import { constantValue } from '../../ops/index.ts'
import { once, type Backward, type GradientRule, type RuleTable } from '../rule.ts'
import { scatterBack } from '../scatter-back.ts'

/** Operators that keep the elements in order. */
const reshaped: GradientRule = ({ dy, x, reshapeLike }) => [() => reshapeLike(dy, x), null]

const transposed: GradientRule = ({ node, dy, dims, transpose }) => [
  () => {
    const rank = dims(dy).length
    const perm = getInts(node, 'perm') ?? Array.from({ length: rank }, (_, axis) => rank - 1 - axis)
    const inverse = perm.map((_, axis) => perm.indexOf(axis))
    return transpose(dy, inverse)
  },
]

/** The node again, with something else as its first input. */
const again = ({ node, op }: Backward, inputs: readonly (Value | undefined)[]) => {
  return (data: Value) => {
    const made = op(node.opType, [data, ...inputs])
    for (const [name, value] of node.attributes) made.producer?.setAttribute(name, value)
    return made
  }
}

/** Applies the node to the elements' own numbers. */
const scattered: GradientRule = (back) => {
  const rest = back.node.inputs.slice(1)
  return [() => scatterBack(back, again(back, rest)), ...rest.map(() => null)]
}

function axisOf(back: Backward, value: Value, fallback: number): number {
  const axis = getInt(back.node, 'axis', fallback)
  return axis < 0 ? axis + back.dims(value).length : axis
}

/** Each input gets its part: cut out where the parts' sizes are known, else by one Split. */
const concat: GradientRule = (back) => {
  const { node, dy, op, dims } = back
  const axis = axisOf(back, dy, 1)
  const inputs = node.inputs.map((_, index) => back.input(index))
  const sizes = inputs.map((input) => dims(input)[axis])
  const known = sizes.every((size) => typeof size === 'number') ? sizes : undefined
  if (inputs.length === 1) return [() => dy]
  const parts = once(() => {
    const counts = inputs.map((input) => op('Shape', [input], { start: axis, end: axis + 1 }))
    return back.ops('Split', [dy, op('Concat', counts, { axis: 0 })], inputs.length, { axis })
  })
  return inputs.map((_, index) => () => {
    if (known === undefined) return parts()[index] as Value
    const start = known.slice(0, index).reduce((sum, size) => sum + size, 0)
    return back.slice(dy, [axis], [start], [start + (known[index] ?? 0)])
  })
}

const split: GradientRule = (back) => {
  const { node, grads, op, zerosLike } = back
  const parts = () => node.outputs.map((output, index) => grads[index] ?? zerosLike(output))
  return [() => op('Concat', parts(), { axis: axisOf(back, back.x, 0) }), null]
}

function integersOf(value: Value | undefined): number[] | undefined {
  const tensor = constantValue(value)
  if (tensor?.dtype !== 'int64' && tensor?.dtype !== 'int32') return undefined
  return Array.from(viewOf(tensor), Number)
}

/** A slice of known place is padded with zeros; any other one is scattered back. */
const slice: GradientRule = (back) => {
  const pads = slicePads(back)
  if (pads === undefined) return scattered(back)
  return [() => back.op('Pad', [back.dy, back.ints(pads)]), null, null, null, null]
}

/** The elements before and after the slice along each axis; undefined where they aren't known or steps leave some out. */
function slicePads(back: Backward): number[] | undefined {
  const [, starts, ends, axes, steps] = back.node.inputs
  const dims = back.dims(back.x)
  const [from, to] = [integersOf(starts), integersOf(ends)]
  const along = axes === undefined ? from?.map((_, axis) => axis) : integersOf(axes)
  const isDense = steps === undefined || integersOf(steps)?.every((step) => step === 1)
  if (from === undefined || to === undefined || along === undefined || isDense !== true) return undefined
  const pads = [...dims, ...dims].map(() => 0)
  for (const [index, given] of along.entries()) {
    const axis = given < 0 ? given + dims.length : given
    const dim = dims[axis]
    if (typeof dim !== 'number') return undefined
    const place = (at = 0) => Math.min(Math.max(at < 0 ? at + dim : at, 0), dim)
    pads[axis] = place(from[index])
    pads[axis + dims.length] = dim - place(to[index])
  }
  return pads
}

/** Constant padding is cut off again, by negative pads; padding by copies is scattered back. */
const pad: GradientRule = (back) => {
  const { node, dy, op } = back
  const [, pads, , axes] = node.inputs
  if (getString(node, 'mode', 'constant') !== 'constant') return scattered(back)
  const known = integersOf(pads)
  const negative = () => (known === undefined ? op('Neg', [pads]) : back.ints(known.map((each) => -each)))
  return [
    () => op('Pad', axes === undefined ? [dy, negative()] : [dy, negative(), undefined, axes]),
    null,
    undefined,
    null,
  ]
}

/** Repetitions are summed: along axes of their own where the sizes are known. */
const tile: GradientRule = (back) => {
  const { x, dy, dims } = back
  const repeats = integersOf(back.node.inputs[1])
  const sizes = dims(x)
  if (repeats === undefined || sizes.filter((dim) => typeof dim !== 'number').length > 1) return scattered(back)
  const axes = repeats.flatMap((count, axis) => (count === 1 ? [] : [2 * axis]))
  const apart = () => sizes.flatMap((dim, axis) => [repeats[axis] ?? 1, dim])
  return [() => back.reshapeLike(back.reduce('Sum', back.reshape(dy, apart()), axes, false), x), null]
}

/** Blocks of channels to places and back are each other's inverse; SpaceToDepth has only the order DCR. */
const depthToSpace: GradientRule = (back) => {
  const { x, dy, dims } = back
  const block = getInt(back.node, 'blocksize', 1)
  if (getString(back.node, 'mode', 'DCR') === 'DCR') return [() => back.op('SpaceToDepth', [dy], { blocksize: block })]
  const [batch = null, channels, height, width] = dims(x)
  if (typeof channels !== 'number' || typeof height !== 'number' || typeof width !== 'number') {
    return back.refuse('has data of an unknown size')
  }
  const apart = () => back.reshape(dy, [batch, channels / block ** 2, height, block, width, block])
  return [() => back.reshapeLike(back.transpose(apart(), [0, 1, 3, 5, 2, 4]), x)]
}

export const movement = {
  Concat: concat,
  DepthToSpace: depthToSpace,
  Expand: ({ dy, x, reduceTo }) => [() => reduceTo(dy, x), null],
  Flatten: reshaped,
  Pad: pad,
  Reshape: reshaped,
  Slice: slice,
  SpaceToDepth: (back) => [() => back.op('DepthToSpace', [back.dy], { blocksize: getInt(back.node, 'blocksize', 1) })],
  Split: split,
  Squeeze: reshaped,
  Tile: tile,
  Transpose: transposed,
  Trilu: (back) => [() => again(back, back.node.inputs.slice(1))(back.dy), null],
  Unsqueeze: reshaped,
} satisfies RuleTable
