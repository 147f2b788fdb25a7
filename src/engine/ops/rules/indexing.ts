import { getInt } from '../../ir/attribute.ts'
import type { Dim, ValueType } from '../../ir/value-type.ts'
import type { ElementRule, TypeRule } from '../definition.ts'
import { normalizeAxis } from '../dims.ts'

/** Gather: the axis is replaced by the dims of the indices. */
export const gatherType: TypeRule = ({ node, input }) => {
  const [data, indices] = [input(0), input(1)]
  if (data === undefined) return []
  const axis = data.dims && normalizeAxis(getInt(node, 'axis', 0), data.dims.length)
  if (!data.dims || !indices?.dims || typeof axis !== 'number') return [{ dtype: data.dtype, dims: null }]
  return [{ dtype: data.dtype, dims: [...data.dims.slice(0, axis), ...indices.dims, ...data.dims.slice(axis + 1)] }]
}

/** The dims of the indices, the dtype of the data. */
export const gatherElementsType: TypeRule = ({ input }) => {
  const [data, indices] = [input(0), input(1)]
  return data === undefined ? [] : [{ dtype: data.dtype, dims: indices?.dims ?? null }]
}

/** GatherND: the last dim of the indices says how many axes of the data, after the batch, an entry picks. */
export const gatherNdType: TypeRule = ({ node, input }) => {
  const [data, indices] = [input(0), input(1)]
  if (data === undefined) return []
  const picked = indices?.dims?.at(-1)
  if (!data.dims || !indices?.dims || typeof picked !== 'number') return [{ dtype: data.dtype, dims: null }]
  const rest = data.dims.slice(getInt(node, 'batch_dims', 0) + picked)
  return [{ dtype: data.dtype, dims: [...indices.dims.slice(0, -1), ...rest] }]
}

export const oneHotType: TypeRule = ({ node, input, elements }) => {
  const [indices, values] = [input(0), input(2)]
  if (values === undefined) return []
  if (!indices?.dims) return [{ dtype: values.dtype, dims: null }]
  const axis = normalizeAxis(getInt(node, 'axis', -1), indices.dims.length + 1) ?? indices.dims.length
  const depth = elements(1)?.[0] ?? null
  return [{ dtype: values.dtype, dims: [...indices.dims.slice(0, axis), depth, ...indices.dims.slice(axis)] }]
}

/** NonZero: int64 [rank, count]. */
export const nonZeroType: TypeRule = ({ input }) => [{ dtype: 'int64', dims: [input(0)?.dims?.length ?? null, null] }]

/** Elements picked from a vector of known elements by constant indices. */
export const gatherElementsKnown: ElementRule = ({ input, elements }) => {
  const [data, indices] = [elements(0), elements(1)]
  if (data === undefined || indices === undefined || input(0)?.dims?.length !== 1) return undefined
  return indices.map((index): Dim => (typeof index === 'number' ? (data.at(index) ?? null) : null))
}

/** Compress: an unknown number of slices along the axis, of elements without one. */
export const compressType: TypeRule = ({ node, input }) => {
  const x = input(0)
  return x === undefined ? [] : [{ dtype: x.dtype, dims: someAlong(x.dims, getInt(node, 'axis')) }]
}

/** Unique: the values, and three int64 vectors that say where they are. */
export const uniqueType: TypeRule = ({ node, input }) => {
  const x = input(0)
  if (x === undefined) return []
  const places: ValueType = { dtype: 'int64', dims: [null] }
  return [{ dtype: x.dtype, dims: someAlong(x.dims, getInt(node, 'axis')) }, places, places, places]
}

function someAlong(dims: readonly Dim[] | null, axis: number | undefined): readonly Dim[] | null {
  if (axis === undefined) return [null]
  const positive = dims === null ? undefined : normalizeAxis(axis, dims.length)
  return dims === null || positive === undefined ? null : dims.map((dim, at) => (at === positive ? null : dim))
}
