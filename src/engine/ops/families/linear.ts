import { anyString, defineOp, float, int, ints, string, type OpTable } from '../definition.ts'
import { einsumType } from '../rules/einsum.ts'
import {
  convMacs,
  convTransposeMacs,
  convTransposeWeight,
  convWeight,
  gemmMacs,
  gemmType,
  gemmWeight,
  matMulMacs,
  matMulType,
  matMulWeight,
} from '../rules/linear.ts'
import { convTransposeType, convType } from '../rules/windows.ts'

/** The window of a convolution. */
const windowAttributes = {
  dilations: ints,
  group: int(1),
  kernel_shape: ints,
  pads: ints,
  strides: ints,
} as const

/** Attributes that convolutions share. */
export const convAttributes = { ...windowAttributes, auto_pad: string('NOTSET') } as const

/** Convolutions and matrix products: where nearly all the arithmetic of a model is. */
export const linear = {
  Conv: defineOp(1, [2, 3], 1, {
    differentiable: true,
    attributes: convAttributes,
    types: convType(),
    macs: convMacs(),
    quantizable: convWeight,
  }),
  ConvTranspose: defineOp(1, [2, 3], 1, {
    differentiable: true,
    attributes: { ...convAttributes, output_padding: ints, output_shape: ints },
    types: convTransposeType,
    macs: convTransposeMacs,
    quantizable: convTransposeWeight,
  }),
  DeformConv: defineOp(19, [3, 5], 1, {
    attributes: { ...windowAttributes, offset_group: int(1) },
    types: convType(),
    macs: convMacs(),
  }),
  Einsum: defineOp(12, [1, Number.POSITIVE_INFINITY], 1, {
    differentiable: true,
    attributes: { equation: anyString },
    types: einsumType,
  }),
  Gemm: defineOp(1, [2, 3], 1, {
    differentiable: true,
    attributes: { alpha: float(1), beta: float(1), transA: int(0), transB: int(0), broadcast: int(0) },
    types: gemmType,
    macs: gemmMacs,
    quantizable: gemmWeight,
  }),
  MatMul: defineOp(1, 2, 1, { differentiable: true, types: matMulType(), macs: matMulMacs, quantizable: matMulWeight }),
} satisfies OpTable
