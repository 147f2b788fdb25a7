import { getInt, getInts } from '../../ir/attribute.ts'
import { viewOf } from '../../ir/tensor.ts'
import type { Dim, ValueType } from '../../ir/value-type.ts'
import type { TypeContext, TypeRule } from '../definition.ts'
import { broadcastDims, normalizeAxes, normalizeAxis, productOf, rankOfShape, sumOf, withDim } from '../dims.ts'
import { addDims, capDim, divideDims, floorDim, isPositive, multiplyDims } from '../symbolic.ts'

/** Rules over the dims of input 0; null where even the rank is unknown. */
function moved(rule: (dims: readonly Dim[], context: TypeContext) => readonly Dim[] | null | undefined): TypeRule {
  return (context) => {
    const x = context.input(0)
    if (x === undefined) return []
    return [{ dtype: x.dtype, dims: x.dims === null ? null : (rule(x.dims, context) ?? null) }]
  }
}

/** Integers given as attribute `name` in older opsets and as input `index` since. */
function intsOf(context: TypeContext, name: string, index: number): readonly Dim[] | undefined {
  return getInts(context.node, name) ?? context.elements(index)
}

/** As `intsOf`, when every element is known. */
export function numbersOf(context: TypeContext, name: string, index: number): number[] | undefined {
  const values = intsOf(context, name, index)
  return values?.every((value) => typeof value === 'number') ? [...values] : undefined
}

/** Reshape: 0 copies a dim, one -1 takes what is left. */
export const reshapeType: TypeRule = (context) => {
  const x = context.input(0)
  const target = intsOf(context, 'shape', 1)
  if (x === undefined) return []
  if (target === undefined) return [{ dtype: x.dtype, dims: rankOfShape(context.input(1)) }]
  const copyZero = getInt(context.node, 'allowzero', 0) === 0
  const dims = target.map((dim, axis): Dim => {
    if (dim === 0 && copyZero) return x.dims?.[axis] ?? null
    // What may be 0 or −1 at run time would mean something else than a size.
    return typeof dim === 'string' && !isPositive(dim) ? null : dim
  })
  const open = dims.indexOf(-1)
  return [{ dtype: x.dtype, dims: open < 0 ? dims : withDim(dims, open, remainder(x, dims)) }]
}

function remainder(x: ValueType, dims: readonly Dim[]): Dim {
  if (x.dims === null) return null
  const given = dims.filter((dim) => dim !== -1)
  // Symbols on both sides cancel, which keeps a batch dim out of the division.
  const left = [...x.dims]
  const rest = given.filter((dim) => {
    const at = typeof dim === 'string' ? left.indexOf(dim) : -1
    if (at >= 0) left.splice(at, 1)
    return at < 0
  })
  const [total, taken] = [productOf(left), productOf(rest)]
  return taken === 1 ? total : divideDims(total, taken)
}

export const transposeType = moved((dims, { node }) => {
  const order = getInts(node, 'perm') ?? dims.map((_, axis) => dims.length - 1 - axis)
  return order.map((axis) => dims[axis] ?? null)
})

export const flattenType = moved((dims, { node }) => {
  const axis = getInt(node, 'axis', 1)
  const split = axis < 0 ? axis + dims.length : axis
  return [productOf(dims.slice(0, split)), productOf(dims.slice(split))]
})

export const squeezeType = moved((dims, context) => {
  const listed = context.node.inputs.length > 1 || context.node.attributes.has('axes')
  const axes = listed ? numbersOf(context, 'axes', 1) : onesOf(dims)
  const positive = axes && normalizeAxes(axes, dims.length)
  return positive && dims.filter((_, axis) => !positive.includes(axis))
})

// Without axes every dim of 1 goes; an unknown one may be 1, and then the rank is unknown too.
function onesOf(dims: readonly Dim[]): number[] | undefined {
  if (dims.some((dim) => typeof dim !== 'number')) return undefined
  return dims.flatMap((dim, axis) => (dim === 1 ? [axis] : []))
}

export const unsqueezeType = moved((dims, context) => {
  const axes = numbersOf(context, 'axes', 1)
  const positive = axes && normalizeAxes(axes, dims.length + axes.length)
  if (positive === undefined) return undefined
  const rest = dims.values()
  return Array.from({ length: dims.length + positive.length }, (_, axis) =>
    positive.includes(axis) ? 1 : (rest.next().value ?? null),
  )
})

export const expandType = moved((dims, { elements }) => {
  const shape = elements(1)
  return shape && broadcastDims(dims, shape)
})

export const tileType = moved((dims, { elements }) => {
  const repeats = elements(1)
  return repeats && dims.map((dim, axis) => productOf([dim, repeats[axis] ?? null]))
})

/** Concat: the sum along the axis, the known one of the inputs' dims elsewhere. */
export const concatType: TypeRule = ({ node, input }) => {
  const types = node.inputs.map((_, index) => input(index))
  const dtype = types.find((type) => type !== undefined)?.dtype
  if (dtype === undefined) return []
  const shapes = types.map((type) => type?.dims)
  const [first] = shapes
  if (!first || !shapes.every((dims) => dims?.length === first.length)) return [{ dtype, dims: null }]
  const axis = normalizeAxis(getInt(node, 'axis', 1), first.length)
  const column = (at: number) => shapes.map((dims) => dims?.[at] ?? null)
  return [{ dtype, dims: first.map((_, at) => (at === axis ? sumOf(column(at)) : agreed(column(at)))) }]
}

function agreed(dims: readonly Dim[]): Dim {
  return dims.find((dim) => typeof dim === 'number') ?? dims.find((dim) => dim !== null) ?? null
}

export const splitType: TypeRule = (context) => {
  const { node } = context
  const x = context.input(0)
  if (x === undefined) return []
  const axis = x.dims && normalizeAxis(getInt(node, 'axis', 0), x.dims.length)
  if (!x.dims || typeof axis !== 'number') return node.outputs.map(() => ({ dtype: x.dtype, dims: null }))
  const { dims } = x
  const sizes =
    intsOf(context, 'split', 1) ?? (node.inputs.length > 1 ? [] : evenParts(dims[axis] ?? null, node.outputs.length))
  return node.outputs.map((_, index) => ({ dtype: x.dtype, dims: withDim(dims, axis, sizes[index] ?? null) }))
}

function evenParts(dim: Dim, count: number): Dim[] {
  if (typeof dim !== 'number') return Array.from({ length: count }, () => divideDims(dim, count))
  const size = Math.ceil(dim / count)
  return Array.from({ length: count }, (_, index) => Math.min(size, dim - index * size))
}

export const padType = moved((dims, context) => {
  const pads = numbersOf(context, 'pads', 1)
  // `axes` came with opset 18; without it pads cover every axis.
  if (pads === undefined || pads.length !== 2 * dims.length) return dims.map(() => null)
  return dims.map((dim, axis) => shiftDim(dim, (pads[axis] ?? 0) + (pads[axis + dims.length] ?? 0)))
})

function shiftDim(dim: Dim, by: number): Dim {
  return by === 0 ? dim : addDims(dim, by)
}

export const sliceType = moved((dims, context) => {
  const [starts, ends] = [numbersOf(context, 'starts', 1), intsOf(context, 'ends', 2)]
  const hasAxes = context.node.attributes.has('axes') || context.node.inputs[3] !== undefined
  const axes = hasAxes ? numbersOf(context, 'axes', 3) : starts?.map((_, axis) => axis)
  const steps = context.node.inputs[4] === undefined ? starts?.map(() => 1) : context.elements(4)
  const positive = axes && normalizeAxes(axes, dims.length)
  if (positive === undefined) return dims.map(() => null)
  return dims.map((dim, axis) => {
    const at = positive.indexOf(axis)
    return at < 0 ? dim : slicedDim(dim, starts?.[at], ends?.[at], steps?.[at])
  })
})

function slicedDim(dim: Dim, start: number | undefined, end: Dim | undefined, step: Dim | undefined): Dim {
  if (start === 0 && step === 1) {
    if (end === dim || (typeof end === 'number' && end >= 2 ** 31 - 1)) return dim
    if (typeof dim === 'number' && typeof end === 'string') return capDim(dim, end)
    if (typeof dim === 'string' && typeof end === 'number' && end >= 0) return capDim(end, dim)
  }
  if (typeof dim !== 'number' || start === undefined || typeof end !== 'number' || typeof step !== 'number') return null
  const clamp = (at: number, low: number, high: number) => Math.min(Math.max(at < 0 ? at + dim : at, low), high)
  const span = step > 0 ? clamp(end, 0, dim) - clamp(start, 0, dim) : clamp(start, 0, dim - 1) - clamp(end, -1, dim - 1)
  return step === 0 ? null : Math.max(0, Math.ceil(span / Math.abs(step)))
}

/** DepthToSpace (`factor` > 0 grows space) and SpaceToDepth, NCHW. */
export function blockType(grow: boolean): TypeRule {
  return moved((dims, { node }) => {
    const block = getInt(node, 'blocksize', 1)
    const [n = null, c = null, h = null, w = null] = dims
    if (grow) return [n, floorDim(c, block ** 2), multiplyDims(h, block), multiplyDims(w, block)]
    return [n, multiplyDims(c, block ** 2), floorDim(h, block), floorDim(w, block)]
  })
}

/** Resize and Upsample: `sizes`, else floor(dim · scale). */
export const resizeType = moved((dims, context) => {
  const { node, opset } = context
  if (node.attributes.has('axes')) return dims.map(() => null)
  const sizes = opset >= 11 ? context.elements(3) : undefined
  if (sizes?.length === dims.length && getInt(node, 'antialias', 0) >= 0) return sizes
  const scales = scalesOf(context, opset >= 11 ? 2 : 1)
  if (scales?.length !== dims.length) return dims.map(() => null)
  return dims.map((dim, axis) => {
    const scale = scales[axis] ?? Number.NaN
    if (scale === 1) return dim
    if (typeof dim === 'string' && Number.isInteger(scale)) return multiplyDims(dim, scale)
    return typeof dim === 'number' ? Math.floor(dim * scale) : null
  })
})

function scalesOf({ constant }: TypeContext, index: number): number[] | undefined {
  const tensor = constant(index)
  if (tensor?.dtype !== 'float32') return undefined
  return [...viewOf(tensor, 'float32')]
}
