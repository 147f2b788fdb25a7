import { defineOp, int, type OpTable } from '../definition.ts'
import { dequantizeType, dynamicQuantizeType, quantizeType } from '../rules/creation.ts'
import { convMacs, matMulMacs, matMulType } from '../rules/linear.ts'
import { convType } from '../rules/windows.ts'
import { convAttributes } from './linear.ts'

/** Quantization and integer products. Never folded: that would undo the quantization of weights. */
export const quantized = {
  ConvInteger: defineOp(10, [2, 4], 1, {
    attributes: convAttributes,
    types: convType(1, () => 'int32'),
    macs: convMacs(),
  }),
  DequantizeLinear: defineOp(10, [2, 3], 1, {
    differentiable: true,
    attributes: { axis: int(1), block_size: int(0), output_dtype: int(0) },
    types: dequantizeType,
    foldable: false,
  }),
  DynamicQuantizeLinear: defineOp(11, 1, 3, { types: dynamicQuantizeType, foldable: false }),
  MatMulInteger: defineOp(10, [2, 4], 1, { types: matMulType({ dtype: () => 'int32' }), macs: matMulMacs }),
  QLinearConv: defineOp(10, [8, 9], 1, {
    attributes: convAttributes,
    types: convType(3, ({ input }) => input(7)?.dtype),
    macs: convMacs(3),
  }),
  QLinearMatMul: defineOp(10, 8, 1, {
    types: matMulType({ b: 3, dtype: ({ input }) => input(7)?.dtype }),
    macs: matMulMacs,
  }),
  QuantizeLinear: defineOp(10, [2, 3], 1, {
    differentiable: true,
    attributes: { axis: int(1), block_size: int(0), output_dtype: int(0), precision: int(0), saturate: int(1) },
    types: quantizeType,
    foldable: false,
  }),
} satisfies OpTable
