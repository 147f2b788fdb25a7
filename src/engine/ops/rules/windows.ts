import { getInt, getInts, getString } from '../../ir/attribute.ts'
import type { DType } from '../../ir/dtype.ts'
import type { Node } from '../../ir/graph.ts'
import type { Dim, ValueType } from '../../ir/value-type.ts'
import type { TypeContext, TypeRule } from '../definition.ts'
import { addDims, floorDim, multiplyDims } from '../symbolic.ts'

/** The window of a convolution or a pool along its spatial axes. */
interface Window {
  readonly kernel: readonly Dim[]
  readonly strides: readonly number[]
  readonly dilations: readonly number[]
  readonly pads: readonly number[]
  readonly autoPad: string
  readonly ceil: boolean
}

function windowOf(node: Node, kernel: readonly Dim[]): Window {
  const ones = kernel.map(() => 1)
  return {
    kernel,
    strides: getInts(node, 'strides', ones),
    dilations: getInts(node, 'dilations', ones),
    pads: getInts(node, 'pads', [...ones, ...ones].fill(0)),
    autoPad: getString(node, 'auto_pad', 'NOTSET'),
    ceil: getInt(node, 'ceil_mode', 0) === 1,
  }
}

/** floor((d + pads - dilation·(k - 1) - 1) / stride) + 1, in the names of the dims too. */
function slideDim(dim: Dim, window: Window, axis: number): Dim {
  const { [axis]: kernel = null } = window.kernel
  const [stride = 1, dilation = 1] = [window.strides[axis], window.dilations[axis]]
  if (window.autoPad.startsWith('SAME')) {
    return stride === 1 ? dim : floorDim(addDims(dim, stride - 1), stride)
  }
  if (typeof kernel !== 'number') return null
  const pads = window.autoPad === 'VALID' ? 0 : padSum(window, axis)
  const shrink = dilation * (kernel - 1) - pads
  if (stride === 1 && shrink === 0) return dim
  if (!window.ceil) return addDims(floorDim(addDims(dim, -shrink - 1), stride), 1)
  if (typeof dim !== 'number') return null
  const steps = (dim - shrink - 1) / stride
  // A window that would start in the padding behind the data is left out.
  const size = Math.ceil(steps) + 1
  const begin = window.pads[axis] ?? 0
  return (size - 1) * stride >= dim + begin ? size - 1 : size
}

function padSum({ pads }: Window, axis: number): number {
  return (pads[axis] ?? 0) + (pads[axis + pads.length / 2] ?? 0)
}

function convDims(node: Node, x: ValueType | undefined, w: ValueType | undefined): Dim[] | null {
  if (!x?.dims || x.dims.length < 3) return null
  const spatial = x.dims.slice(2)
  const kernel = getInts(node, 'kernel_shape') ?? w?.dims?.slice(2) ?? spatial.map(() => null)
  const window = windowOf(node, kernel)
  return [x.dims[0] ?? null, w?.dims?.[0] ?? null, ...spatial.map((dim, axis) => slideDim(dim, window, axis))]
}

/** A convolution of input 0 with the weight at `weight`, in the dtype that `dtype` gives. */
export function convType(weight = 1, dtype?: (context: TypeContext) => DType | undefined): TypeRule {
  return (context) => {
    const x = context.input(0)
    const element = dtype === undefined ? x?.dtype : dtype(context)
    return element === undefined
      ? [undefined]
      : [{ dtype: element, dims: convDims(context.node, x, context.input(weight)) }]
  }
}

/** stride·(d - 1) + output_padding + dilation·(k - 1) + 1 - pads, or the attribute output_shape. */
export const convTransposeType: TypeRule = ({ node, input }) => {
  const [x, w] = [input(0), input(1)]
  if (x === undefined) return [undefined]
  if (!x.dims || x.dims.length < 3) return [{ dtype: x.dtype, dims: null }]
  const spatial = x.dims.slice(2)
  const window = windowOf(node, getInts(node, 'kernel_shape') ?? w?.dims?.slice(2) ?? spatial.map(() => null))
  const extra = getInts(node, 'output_padding', [])
  const shape = getInts(node, 'output_shape')
  const perGroup = w?.dims?.[1]
  const channels = typeof perGroup === 'number' ? perGroup * getInt(node, 'group', 1) : null
  const sizes = spatial.map((dim, axis) => shape?.[axis] ?? growDim(dim, window, axis, extra[axis] ?? 0))
  return [{ dtype: x.dtype, dims: [x.dims[0] ?? null, channels, ...sizes] }]
}

function growDim(dim: Dim, window: Window, axis: number, extra: number): Dim {
  const [stride = 1, dilation = 1, kernel] = [window.strides[axis], window.dilations[axis], window.kernel[axis]]
  if (typeof kernel !== 'number') return null
  if (window.autoPad.startsWith('SAME')) return multiplyDims(dim, stride)
  const pads = window.autoPad === 'VALID' ? 0 : padSum(window, axis)
  return addDims(multiplyDims(dim, stride), extra + dilation * (kernel - 1) + 1 - pads - stride)
}

/** Pools; the second output of MaxPool holds indices. */
export const poolType: TypeRule = ({ node, input }) => {
  const x = input(0)
  if (x === undefined) return []
  const kernel = getInts(node, 'kernel_shape')
  const known = x.dims !== null && x.dims.length >= 3 && kernel !== undefined
  const dims = known ? pooledDims(x.dims, windowOf(node, kernel)) : null
  return [
    { dtype: x.dtype, dims },
    { dtype: 'int64', dims },
  ]
}

function pooledDims(dims: readonly Dim[], window: Window): Dim[] {
  return dims.map((dim, index) => (index < 2 ? dim : slideDim(dim, window, index - 2)))
}

/** Global pools: every spatial dim becomes 1. */
export const globalPoolType: TypeRule = ({ input }) => {
  const x = input(0)
  return x === undefined ? [] : [{ dtype: x.dtype, dims: x.dims && x.dims.map((dim, axis) => (axis < 2 ? dim : 1)) }]
}
