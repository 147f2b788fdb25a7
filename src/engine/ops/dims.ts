import { maxRank, type Dim, type ValueType } from '../ir/value-type.ts'
import { addDims, cappedBy, multiplyDims } from './symbolic.ts'

/** The dim that two dims broadcast to; null where it can't be told. */
function broadcastDim(a: Dim, b: Dim): Dim {
  if (a === b || b === 1) return a
  if (a === 1) return b
  // A size over 1 wins against an unknown: the other must be 1 or the same.
  if (typeof a === 'number' && a > 1) return a
  if (typeof b === 'number' && b > 1) return b
  // min(c, N) against N is N, or the run fails.
  const [one, other] = [cappedBy(a), cappedBy(b)]
  if (one !== undefined && one.cap > 1 && one.dim === b) return b
  return other !== undefined && other.cap > 1 && other.dim === a ? a : null
}

/** numpy-style broadcasting of symbolic dims. */
export function broadcastDims(a: readonly Dim[], b: readonly Dim[]): Dim[] {
  const rank = Math.max(a.length, b.length)
  const at = (dims: readonly Dim[], axis: number) =>
    dims[axis - rank + dims.length] ?? (axis - rank + dims.length < 0 ? 1 : null)
  return Array.from({ length: rank }, (_, axis) => broadcastDim(at(a, axis), at(b, axis)))
}

/** Product of dims: a number, an expression in their names, or null. */
export function productOf(dims: readonly Dim[]): Dim {
  const factors = dims.filter((dim) => dim !== 1)
  if (factors.length === 1) return factors[0] ?? null
  return factors.reduce<Dim>(multiplyDims, 1)
}

/** Sum of dims, in the same forms. */
export function sumOf(dims: readonly Dim[]): Dim {
  return dims.length === 1 ? (dims[0] ?? null) : dims.reduce<Dim>(addDims, 0)
}

/** An axis counted from the end made positive; undefined when it is outside the rank. */
export function normalizeAxis(axis: number, rank: number): number | undefined {
  const positive = axis < 0 ? axis + rank : axis
  return positive >= 0 && positive < rank ? positive : undefined
}

/** Axes made positive, or undefined when one is outside the rank. */
export function normalizeAxes(axes: readonly number[], rank: number): number[] | undefined {
  const positive = axes.map((axis) => normalizeAxis(axis, rank))
  return positive.every((axis) => axis !== undefined) ? positive : undefined
}

/** Number of elements, symbolic and unknown dims counted as 1. */
export function countAsOnes(dims: readonly Dim[]): number {
  return dims.reduce<number>((product, dim) => product * (typeof dim === 'number' ? dim : 1), 1)
}

/** A copy with one element replaced. */
export function withDim(dims: readonly Dim[], axis: number, dim: Dim): Dim[] {
  return dims.map((old, index) => (index === axis ? dim : old))
}

/** The unknown dims that a shape vector of known length stands for, or null for an unknown rank. */
export function rankOfShape(shape: ValueType | undefined): Dim[] | null {
  const length = shape?.dims?.[0]
  return typeof length === 'number' && length <= maxRank ? Array.from({ length }, () => null) : null
}
