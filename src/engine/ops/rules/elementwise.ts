import { getInt } from '../../ir/attribute.ts'
import { dtypeOfNumber, type DType } from '../../ir/dtype.ts'
import type { Dim, ValueType } from '../../ir/value-type.ts'
import type { TypeContext, TypeRule } from '../definition.ts'
import { broadcastDims } from '../dims.ts'

/** Output 0 has the type of input 0. */
export const sameAsInput: TypeRule = ({ input }) => [input(0)]

/** The dims of input 0 in another dtype. */
export function sameDims(dtype: DType): TypeRule {
  return ({ input }) => [withDtype(input(0), dtype)]
}

/** Broadcast dims of all inputs, in the dtype of input 0. */
export const broadcastInputs: TypeRule = (context) => [broadcastType(context, context.input(0)?.dtype)]

/** Broadcast dims of all inputs as bool. */
export const broadcastToBool: TypeRule = (context) => [broadcastType(context, 'bool')]

/** Where: the dtype is that of the branches. */
export const selectType: TypeRule = (context) => [
  broadcastType(context, context.input(1)?.dtype ?? context.input(2)?.dtype),
]

/** Cast: the dtype is the attribute `to`. */
export const castType: TypeRule = ({ node, input }) => [withDtype(input(0), dtypeOfNumber(getInt(node, 'to', 0)))]

/** CastLike: the dtype is that of input 1. */
export const castLikeType: TypeRule = ({ input }) => [withDtype(input(0), input(1)?.dtype)]

function withDtype(type: ValueType | undefined, dtype: DType | undefined): ValueType | undefined {
  return type === undefined || dtype === undefined ? undefined : { dtype, dims: type.dims }
}

function broadcastType(context: TypeContext, dtype: DType | undefined): ValueType | undefined {
  if (dtype === undefined) return undefined
  // Before opset 7 broadcasting went by attributes, the second input into the first.
  if (context.opset < 7) return withDtype(context.input(0), dtype)
  let dims: readonly Dim[] = []
  for (let index = 0; index < context.node.inputs.length; index++) {
    const next = context.input(index)?.dims
    if (next === undefined || next === null) return { dtype, dims: null }
    dims = broadcastDims(dims, next)
  }
  return { dtype, dims }
}
