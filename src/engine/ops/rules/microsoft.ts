import { getInt, getInts } from '../../ir/attribute.ts'
import type { Node } from '../../ir/graph.ts'
import type { Dim, ValueType } from '../../ir/value-type.ts'
import type { TypeContext, TypeRule } from '../definition.ts'
import { broadcastDims, normalizeAxis } from '../dims.ts'
import { matMulType } from './linear.ts'
import { concatType } from './movement.ts'

/** A context in which the inputs are others of the node's: by position, for operators with scales in between. */
function rearranged(context: TypeContext, order: readonly number[]): TypeContext {
  return {
    ...context,
    input: (index) => (order[index] === undefined ? undefined : context.input(order[index])),
    constant: (index) => (order[index] === undefined ? undefined : context.constant(order[index])),
    elements: (index) => (order[index] === undefined ? undefined : context.elements(order[index])),
  }
}

/** A rule of ai.onnx on the inputs at these positions. */
export function withInputs(order: readonly number[], rule: TypeRule): TypeRule {
  return (context) => rule(rearranged(context, order))
}

/** Quantized Add and Mul: a, its scale and zero point, b, and its; the result is of the type of a. */
export const quantizedBinaryType: TypeRule = ({ input }) => {
  const [a, b] = [input(0), input(3)]
  return a === undefined ? [] : [{ dtype: a.dtype, dims: a.dims && b?.dims ? broadcastDims(a.dims, b.dims) : null }]
}

/** A rule for images whose channels come second; the others are told by their dtype only. */
export function channelsFirst(rule: TypeRule): TypeRule {
  return (context) => {
    const types = rule(context)
    if (getInt(context.node, 'channels_last', 0) === 0) return types
    return types.map((type) => type && { dtype: type.dtype, dims: null })
  }
}

/** Quantized Concat: scale and zero point of the result, then three inputs for each part. */
export const quantizedConcatType: TypeRule = (context) => {
  const parts = context.node.inputs.flatMap((_, index) => (index >= 2 && (index - 2) % 3 === 0 ? [index] : []))
  const types = parts.map((index) => context.input(index))
  const { attributes } = context.node
  // All that the rule asks of a node.
  const node = { attributes, inputs: parts.map((index) => context.node.inputs[index]) } as unknown as Node
  return concatType({ ...context, node, input: (index) => types[index] })
}

function swapped(type: ValueType | undefined, swap: boolean): ValueType | undefined {
  const [columns, rows] = [type?.dims?.at(-1), type?.dims?.at(-2)]
  if (!swap || !type?.dims || columns === undefined || rows === undefined) return type
  return { dtype: type.dtype, dims: [...type.dims.slice(0, -2), columns, rows] }
}

/** FusedMatMul: with the last two axes of either input swapped; swaps that take in the batch are not told. */
export const fusedMatMulType: TypeRule = (context) => {
  const { node } = context
  const isSet = (name: string) => getInt(node, name, 0) !== 0
  const [a, b] = [swapped(context.input(0), isSet('transA')), swapped(context.input(1), isSet('transB'))]
  if (a === undefined) return []
  if (isSet('transBatchA') || isSet('transBatchB')) return [{ dtype: a.dtype, dims: null }]
  return matMulType()({ ...context, input: (index) => [a, b][index] })
}

/** MultiHeadAttention over separate queries and values [batch, time, hidden]. */
export const multiHeadType: TypeRule = ({ input }) => {
  const [query, value] = [input(0), input(2)]
  if (query === undefined) return []
  const known = query.dims?.length === 3 && value?.dims?.length === 3
  return [{ dtype: query.dtype, dims: known ? [...(query.dims ?? []).slice(0, 2), value.dims?.at(-1) ?? null] : null }]
}

/** Attention with the weights of queries, keys and values side by side. */
export const packedAttentionType: TypeRule = ({ node, input }) => {
  const [x, weight] = [input(0), input(1)]
  if (x === undefined) return []
  const sizes = getInts(node, 'qkv_hidden_sizes')
  const all = weight?.dims?.at(-1)
  const hidden: Dim = sizes?.[2] ?? (typeof all === 'number' ? all / 3 : null)
  return [{ dtype: x.dtype, dims: x.dims?.length === 3 ? [...x.dims.slice(0, 2), hidden] : null }]
}

/** EmbedLayerNormalization: a row of the table for each token, how many tokens each text has, and the sum. */
export const embedType: TypeRule = ({ input }) => {
  const [ids, table] = [input(0), input(2)]
  if (table === undefined) return []
  const dims = ids?.dims ? [...ids.dims, table.dims?.at(-1) ?? null] : null
  const embedded = { dtype: table.dtype, dims }
  return [embedded, { dtype: 'int32', dims: [ids?.dims?.[0] ?? null] }, embedded]
}

/** GatherBlockQuantized: looked up and dequantized; sub-byte tables packed into bytes are not told. */
export const gatherBlocksType: TypeRule = ({ node, input }) => {
  const [data, indices, scales] = [input(0), input(1), input(2)]
  if (scales === undefined) return []
  const packed = data?.dtype === 'uint8' && getInt(node, 'bits', 4) !== 8
  const axis = data?.dims && normalizeAxis(getInt(node, 'gather_axis', 0), data.dims.length)
  if (packed || !data?.dims || !indices?.dims || typeof axis !== 'number') return [{ dtype: scales.dtype, dims: null }]
  return [{ dtype: scales.dtype, dims: [...data.dims.slice(0, axis), ...indices.dims, ...data.dims.slice(axis + 1)] }]
}
