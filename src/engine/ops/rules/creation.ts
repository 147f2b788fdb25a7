import { getInt, getInts, getTensor } from '../../ir/attribute.ts'
import { dtypeOfNumber, type DType } from '../../ir/dtype.ts'
import { viewOf } from '../../ir/tensor.ts'
import type { Dim, ValueType } from '../../ir/value-type.ts'
import type { ElementRule, TypeContext, TypeRule } from '../definition.ts'
import { constantOf } from '../constants.ts'
import { rankOfShape } from '../dims.ts'
import { isCount, subtractDims } from '../symbolic.ts'

/** Constant: of whichever attribute gives it. */
export const constantType: TypeRule = ({ node }) => {
  const value = constantOf(node)
  return value === undefined ? [] : [{ dtype: value.dtype, dims: value.dims }]
}

export const constantOfShapeType: TypeRule = ({ node, input, elements }) => {
  return [{ dtype: getTensor(node, 'value')?.dtype ?? 'float32', dims: elements(0) ?? rankOfShape(input(0)) }]
}

/** The attribute `dtype`, float32 when absent. */
function dtypeAttribute({ node }: TypeContext): DType | undefined {
  return dtypeOfNumber(getInt(node, 'dtype', 1))
}

/** RandomNormal and RandomUniform: dims by the attribute `shape`. */
export const randomType: TypeRule = (context) => {
  const dtype = dtypeAttribute(context)
  return dtype === undefined ? [] : [{ dtype, dims: getInts(context.node, 'shape', null) }]
}

/** The dims of input 0; the dtype of the attribute, else of the input. */
export const likeType: TypeRule = ({ node, input }) => {
  const x = input(0)
  const dtype = node.attributes.has('dtype') ? dtypeOfNumber(getInt(node, 'dtype', 0)) : x?.dtype
  return dtype === undefined ? [] : [{ dtype, dims: x?.dims ?? null }]
}

export const rangeType: TypeRule = ({ input, elements }) => {
  const dtype = input(0)?.dtype
  const [start, limit, delta] = [0, 1, 2].map((index) => elements(index)?.[0])
  const known = typeof start === 'number' && typeof limit === 'number' && typeof delta === 'number' && delta !== 0
  if (dtype === undefined) return []
  if (known) return [{ dtype, dims: [Math.max(0, Math.ceil((limit - start) / delta))] }]
  const length = delta === 1 ? subtractDims(limit ?? null, start ?? null) : null
  return [{ dtype, dims: [isCount(length) ? length : null] }]
}

/** Shape: an int64 vector as long as the rank, between `start` and `end`. */
export const shapeType: TypeRule = (context) => [{ dtype: 'int64', dims: [slicedShape(context)?.length ?? null] }]

/** The elements of a Shape are the dims themselves, symbols included. */
export const shapeElements: ElementRule = (context) => slicedShape(context)

function slicedShape({ node, input }: TypeContext): readonly Dim[] | undefined {
  return input(0)?.dims?.slice(getInt(node, 'start', 0), getInt(node, 'end', undefined))
}

export const scalarInt64: TypeRule = () => [{ dtype: 'int64', dims: [] }]

/** QuantizeLinear: the dtype of the zero point, else the attribute `output_dtype`, else uint8. */
export const quantizeType: TypeRule = ({ node, input }) => {
  const x = input(0)
  const dtype = input(2)?.dtype ?? dtypeOfNumber(getInt(node, 'output_dtype', 0)) ?? 'uint8'
  return x === undefined || (node.inputs[2] !== undefined && input(2) === undefined) ? [] : [{ dtype, dims: x.dims }]
}

/** DequantizeLinear: the dtype of the scale. */
export const dequantizeType: TypeRule = ({ input }) => {
  const [x, scale] = [input(0), input(1)]
  return x === undefined || scale === undefined ? [] : [{ dtype: scale.dtype, dims: x.dims }]
}

/** DynamicQuantizeLinear: uint8 values, float32 scale, uint8 zero point. */
export const dynamicQuantizeType: TypeRule = ({ input }) => {
  const x = input(0)
  const scalar = (dtype: DType): ValueType => ({ dtype, dims: [] })
  return [x && { dtype: 'uint8', dims: x.dims }, scalar('float32'), scalar('uint8')]
}

/** The elements of an integer Constant. */
export const constantElements: ElementRule = ({ node }) => {
  const value = constantOf(node)
  return value === undefined ? undefined : integersOf(value)
}

const maxElements = 64

/** The integers of a small int32 or int64 tensor of rank 0 or 1. */
export function integersOf(tensor: NonNullable<ReturnType<typeof constantOf>>): number[] | undefined {
  if (tensor.dims.length > 1 || (tensor.dims[0] ?? 1) > maxElements) return undefined
  if (tensor.dtype === 'int64') return Array.from(viewOf(tensor, 'int64'), Number)
  return tensor.dtype === 'int32' ? [...viewOf(tensor, 'int32')] : undefined
}
