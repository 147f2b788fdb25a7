import { getInt } from '../../ir/attribute.ts'
import type { DType } from '../../ir/dtype.ts'
import type { Dim, ValueType } from '../../ir/value-type.ts'
import type { MacRule, QuantizableTrait, TypeContext, TypeRule } from '../definition.ts'
import { broadcastDims, countAsOnes } from '../dims.ts'

function dimsOf(type: ValueType | undefined): readonly Dim[] | undefined {
  return type?.dims ?? undefined
}

/** numpy matmul of two dims; undefined for scalars, which it refuses. */
function matMulDims(a: readonly Dim[], b: readonly Dim[]): Dim[] | undefined {
  if (a.length === 0 || b.length === 0) return undefined
  const rows = a.length === 1 ? [] : [a.at(-2) ?? null]
  const columns = b.length === 1 ? [] : [b.at(-1) ?? null]
  return [...broadcastDims(a.slice(0, -2), b.slice(0, -2)), ...rows, ...columns]
}

/** Which inputs a product reads and what dtype it gives: by default that of the first. */
interface ProductInputs {
  readonly b?: number
  readonly dtype?: (context: TypeContext) => DType | undefined
}

export function matMulType({ b = 1, dtype }: ProductInputs = {}): TypeRule {
  return (context) => {
    const [left, right] = [context.input(0), context.input(b)]
    const element = dtype === undefined ? left?.dtype : dtype(context)
    if (element === undefined) return [undefined]
    const dims = left?.dims && right?.dims ? matMulDims(left.dims, right.dims) : undefined
    return [{ dtype: element, dims: dims ?? null }]
  }
}

/** Gemm: [M, N] with the transposes of its attributes. */
export const gemmType: TypeRule = ({ node, input }) => {
  const [a, b] = [input(0), input(1)]
  if (a === undefined) return [undefined]
  const rows = a.dims?.[getInt(node, 'transA', 0) === 0 ? 0 : 1] ?? null
  const columns = b?.dims?.[getInt(node, 'transB', 0) === 0 ? 1 : 0] ?? null
  return [{ dtype: a.dtype, dims: [rows, columns] }]
}

/** MatMulNBits and its kin: the last dim becomes the attribute N. */
export const packedMatMulType: TypeRule = ({ node, input }) => {
  const a = input(0)
  if (a === undefined) return [undefined]
  return [{ dtype: a.dtype, dims: a.dims && [...a.dims.slice(0, -1), getInt(node, 'N', null)] }]
}

/** Output elements × the shared dim, which is the last of input 0. */
export const matMulMacs: MacRule = ({ input }, output) => {
  const [a, out] = [dimsOf(input(0)), dimsOf(output)]
  return a && out ? countAsOnes(out) * countAsOnes(a.slice(-1)) : undefined
}

export const gemmMacs: MacRule = ({ node, input }, output) => {
  const [a, out] = [dimsOf(input(0)), dimsOf(output)]
  const shared = a?.[getInt(node, 'transA', 0) === 0 ? 1 : 0]
  return out && shared !== undefined ? countAsOnes(out) * countAsOnes([shared]) : undefined
}

/** Output elements × weights per output channel: Conv weights are [M, C / group, kernel…]. */
export function convMacs(weight = 1): MacRule {
  return ({ input }, output) => {
    const [w, out] = [dimsOf(input(weight)), dimsOf(output)]
    return w && out ? countAsOnes(out) * countAsOnes(w.slice(1)) : undefined
  }
}

/** Input elements × weights per input channel: ConvTranspose weights are [C, M / group, kernel…]. */
export const convTransposeMacs: MacRule = ({ input }) => {
  const [x, w] = [dimsOf(input(0)), dimsOf(input(1))]
  return x && w ? countAsOnes(x) * countAsOnes(w.slice(1)) : undefined
}

export const convWeight: QuantizableTrait = { weightInput: 1, biasInput: 2, channelAxis: () => 0 }
export const convTransposeWeight: QuantizableTrait = { weightInput: 1, biasInput: 2, channelAxis: () => 1 }
export const matMulWeight: QuantizableTrait = { weightInput: 1, channelAxis: (_node, rank) => rank - 1 }
export const gemmWeight: QuantizableTrait = {
  weightInput: 1,
  biasInput: 2,
  channelAxis: (node) => (getInt(node, 'transB', 0) === 0 ? 1 : 0),
}
