import { getInt, getInts } from '../../ir/attribute.ts'
import type { DType } from '../../ir/dtype.ts'
import type { Dim } from '../../ir/value-type.ts'
import type { TypeContext, TypeRule } from '../definition.ts'
import { normalizeAxes, withDim } from '../dims.ts'
import { numbersOf } from './movement.ts'

/** Reductions: axes by attribute, since opset 13 or 18 by input; all of them when absent. */
export const reduceType: TypeRule = (context) => {
  const x = context.input(0)
  return x === undefined ? [] : [{ dtype: x.dtype, dims: x.dims && reduceDims(x.dims, context) }]
}

function reduceDims(dims: readonly Dim[], context: TypeContext): Dim[] | null {
  const given = getInts(context.node, 'axes') ?? (context.node.inputs[1] === undefined ? [] : numbersOf(context, '', 1))
  if (given === undefined) return keepsDims(context) ? dims.map(() => null) : null
  if (given.length === 0 && getInt(context.node, 'noop_with_empty_axes', 0) === 1) return [...dims]
  const axes = given.length === 0 ? dims.map((_, axis) => axis) : normalizeAxes(given, dims.length)
  return axes === undefined ? null : dropAxes(dims, axes, keepsDims(context))
}

function keepsDims({ node }: TypeContext): boolean {
  return getInt(node, 'keepdims', 1) === 1
}

function dropAxes(dims: readonly Dim[], axes: readonly number[], keep: boolean): Dim[] {
  return dims.flatMap((dim, axis) => {
    if (!axes.includes(axis)) return [dim]
    return keep ? [1] : []
  })
}

/** ArgMax and ArgMin: one axis, int64. */
export const argType: TypeRule = (context) => {
  const x = context.input(0)
  if (x === undefined) return []
  const axes = x.dims && normalizeAxes([getInt(context.node, 'axis', 0)], x.dims.length)
  return [{ dtype: 'int64', dims: x.dims && axes ? dropAxes(x.dims, axes, keepsDims(context)) : null }]
}

/** TopK: values and int64 indices, k by attribute before opset 10. */
export const topKType: TypeRule = (context) => {
  const x = context.input(0)
  if (x === undefined) return []
  const [axis] = (x.dims && normalizeAxes([getInt(context.node, 'axis', -1)], x.dims.length)) ?? []
  const k: Dim = getInt(context.node, 'k') ?? context.elements(1)?.[0] ?? null
  const dims = x.dims && axis !== undefined ? withDim(x.dims, axis, k) : null
  return [
    { dtype: x.dtype, dims },
    { dtype: 'int64', dims },
  ]
}

/** Output 0 as input 0; each further output a vector of the channels in `dtype`, or undefined. */
export const batchNormType: TypeRule = ({ node, input }) => {
  const x = input(0)
  const statistics = input(1)
  return node.outputs.map((_, index) => (index === 0 ? x : statistics))
}

/** LayerNormalization: mean and inverse deviation keep the axes before `axis` and have 1 after. */
export const layerNormType: TypeRule = ({ node, input }) => {
  const x = input(0)
  if (x === undefined) return []
  const [axis] = (x.dims && normalizeAxes([getInt(node, 'axis', -1)], x.dims.length)) ?? []
  const dims = x.dims && axis !== undefined ? x.dims.map((dim, at) => (at < axis ? dim : 1)) : null
  const statistics = { dtype: 'float32' as DType, dims }
  return [x, statistics, statistics]
}
