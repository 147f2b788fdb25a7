import { getInt, getInts, getString } from '../../ir/attribute.ts'
import { dtypeOfNumber } from '../../ir/dtype.ts'
import type { Dim, ValueType } from '../../ir/value-type.ts'
import type { TypeContext, TypeRule } from '../definition.ts'
import { normalizeAxes, normalizeAxis, productOf, withDim } from '../dims.ts'

/** A size computed from known ones; null when one is not a number. */
function sizeFrom(dims: readonly (Dim | undefined)[], compute: (...sizes: number[]) => number): Dim {
  return dims.every((dim) => typeof dim === 'number') ? compute(...dims) : null
}

const quotient = (a: Dim, b: Dim) => (b === 1 ? a : sizeFrom([a, b], (x, y) => (x % y === 0 ? x / y : -1)))

/** GridSample: batch and channels of the image, the places of the grid. */
export const gridSampleType: TypeRule = ({ input }) => {
  const [x, grid] = [input(0), input(1)]
  if (x === undefined) return []
  const dims = x.dims && grid?.dims ? [...x.dims.slice(0, 2), ...grid.dims.slice(1, -1)] : null
  return [{ dtype: x.dtype, dims }]
}

/** AffineGrid: a coordinate for every place of an image of the given size [N, C, …]. */
export const affineGridType: TypeRule = ({ input, elements }) => {
  const [theta, size] = [input(0), elements(1)]
  if (theta === undefined) return []
  const dims = size && [size[0] ?? null, ...size.slice(2), size.length - 2]
  return [{ dtype: theta.dtype, dims: dims ?? null }]
}

/** Col2Im: [N, C·∏block, L] become images of the given size. */
export const col2ImType: TypeRule = ({ input, elements }) => {
  const [x, image, block] = [input(0), elements(1), elements(2)]
  if (x === undefined) return []
  const [batch = null, columns = null] = x.dims ?? []
  return [{ dtype: x.dtype, dims: image && block ? [batch, quotient(columns, productOf(block)), ...image] : null }]
}

/** Det: the last two axes, a square, become one number. */
export const determinantType: TypeRule = ({ input }) => {
  const x = input(0)
  return x === undefined ? [] : [{ dtype: x.dtype, dims: x.dims && x.dims.slice(0, -2) }]
}

const half = (dim: Dim | undefined): Dim => sizeFrom([dim], (size) => Math.floor(size / 2) + 1)

/** DFT: the axis is an attribute before opset 20, then an input; the last axis holds real and imaginary parts. */
export const dftType: TypeRule = ({ node, opset, input, elements }) => {
  const x = input(0)
  if (x === undefined) return []
  const given = opset < 20 ? getInt(node, 'axis', 1) : node.inputs[2] === undefined ? -2 : elements(2)?.[0]
  const axis = x.dims && typeof given === 'number' ? normalizeAxis(given, x.dims.length) : undefined
  if (!x.dims || axis === undefined || getInt(node, 'inverse', 0) === 1) return [{ dtype: x.dtype, dims: null }]
  const size = node.inputs[1] === undefined ? (x.dims[axis] ?? null) : (elements(1)?.[0] ?? null)
  const kept = getInt(node, 'onesided', 0) === 1 ? half(size) : size
  return [{ dtype: x.dtype, dims: withDim(withDim(x.dims, axis, kept), x.dims.length - 1, 2) }]
}

/** STFT: [batch, frames, bins, 2]; the frame is as long as the window, else as input 3 says. */
export const stftType: TypeRule = ({ node, input, elements }) => {
  const x = input(0)
  if (x === undefined) return []
  const frame = node.inputs[3] === undefined ? input(2)?.dims?.[0] : elements(3)?.[0]
  const frames = sizeFrom([x.dims?.[1], frame, elements(1)?.[0]], (length, size, step) =>
    Math.floor((length - size) / step + 1),
  )
  const bins = getInt(node, 'onesided', 1) === 1 ? half(frame) : (frame ?? null)
  return [{ dtype: x.dtype, dims: [x.dims?.[0] ?? null, frames, bins, 2] }]
}

function attributeType({ node }: TypeContext, name: string, dims: readonly Dim[] | null) {
  const dtype = dtypeOfNumber(getInt(node, name, 1))
  return dtype === undefined ? [] : [{ dtype, dims }]
}

/** Window functions: a vector as long as the scalar input says. */
export const windowType: TypeRule = (context) =>
  attributeType(context, 'output_datatype', [context.elements(0)?.[0] ?? null])

/** MelWeightMatrix: [dft_length / 2 + 1, num_mel_bins]. */
export const melWeightType: TypeRule = (context) => {
  const [bins, length] = [context.elements(0)?.[0] ?? null, context.elements(1)?.[0]]
  return attributeType(context, 'output_datatype', [half(length), bins])
}

/** CenterCropPad: the target sizes along the axes, all of them by default. */
export const centerCropType: TypeRule = ({ node, input, elements }) => {
  const [x, target] = [input(0), elements(1)]
  if (x === undefined) return []
  const axes = x.dims && normalizeAxes(getInts(node, 'axes') ?? x.dims.map((_, axis) => axis), x.dims.length)
  if (!x.dims || !axes) return [{ dtype: x.dtype, dims: null }]
  return [
    {
      dtype: x.dtype,
      dims: x.dims.map((dim, axis) => (axes.includes(axis) ? (target?.[axes.indexOf(axis)] ?? null) : dim)),
    },
  ]
}

/** Pools over regions: [regions, channels, height, width]. */
export function regionType(size: (context: TypeContext) => readonly Dim[]): TypeRule {
  return (context) => {
    const [x, regions] = [context.input(0), context.input(1)]
    if (x === undefined) return []
    return [{ dtype: x.dtype, dims: [regions?.dims?.[0] ?? null, x.dims?.[1] ?? null, ...size(context)] }]
  }
}

/** MaxUnpool: the size it is told, else what the pool would have read. */
export const unpoolType: TypeRule = ({ node, input, elements }) => {
  const x = input(0)
  const kernel = getInts(node, 'kernel_shape', [])
  if (x === undefined) return []
  if (node.inputs[2] !== undefined) return [{ dtype: x.dtype, dims: elements(2) ?? null }]
  const [strides, pads] = [
    getInts(
      node,
      'strides',
      kernel.map(() => 1),
    ),
    getInts(node, 'pads', []),
  ]
  const grow = (dim: Dim, axis: number) =>
    sizeFrom([dim, kernel[axis], strides[axis]], (size, window, stride) => {
      return (size - 1) * stride - (pads[axis] ?? 0) - (pads[axis + kernel.length] ?? 0) + window
    })
  return [{ dtype: x.dtype, dims: x.dims && x.dims.map((dim, axis) => (axis < 2 ? dim : grow(dim, axis - 2))) }]
}

/** Attention: as the queries, with the head size of the values; heads in an axis of their own or side by side. */
export const attentionType: TypeRule = ({ node, input }) => {
  const [query, value] = [input(0), input(2)]
  if (query === undefined) return []
  return [
    {
      dtype: query.dtype,
      dims: attentionDims(query, value, getInt(node, 'q_num_heads'), getInt(node, 'kv_num_heads')),
    },
  ]
}

function attentionDims(query: ValueType, value: ValueType | undefined, heads?: number, valueHeads?: number) {
  const size = value?.dims?.at(-1) ?? null
  if (query.dims?.length === 4) return [...query.dims.slice(0, 3), size]
  if (query.dims?.length !== 3) return null
  const hidden = sizeFrom([size, heads, valueHeads], (width, own, shared) => (width / shared) * own)
  return [...query.dims.slice(0, 2), hidden]
}

/** Losses: one number, unless nothing is reduced; then one for each target. */
export const lossType: TypeRule = ({ node, input }) => {
  const x = input(0)
  if (x === undefined) return []
  const kept = getString(node, 'reduction', 'mean')
  const dims = kept === 'none' ? (input(1)?.dims ?? null) : []
  return [{ dtype: x.dtype, dims }, x]
}
