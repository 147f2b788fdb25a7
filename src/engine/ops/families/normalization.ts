import { anyInt, defineOp, float, int, ints, type OpTable } from '../definition.ts'
import { sameAsInput } from '../rules/elementwise.ts'
import { batchNormType, layerNormType } from '../rules/reduction.ts'

export const normalization = {
  BatchNormalization: defineOp(1, 5, [1, 5], {
    differentiable: true,
    attributes: { epsilon: float(1e-5), momentum: float(0.9), spatial: int(1), training_mode: int(0), is_test: int(0) },
    types: batchNormType,
  }),
  GroupNormalization: defineOp(18, 3, 1, {
    differentiable: true,
    attributes: { epsilon: float(1e-5), num_groups: anyInt, stash_type: int(1) },
    types: sameAsInput,
  }),
  Hardmax: defineOp(1, 1, 1, { attributes: { axis: anyInt }, types: sameAsInput }),
  InstanceNormalization: defineOp(1, 3, 1, {
    differentiable: true,
    attributes: { epsilon: float(1e-5) },
    types: sameAsInput,
  }),
  LRN: defineOp(1, 1, 1, {
    attributes: { alpha: float(1e-4), beta: float(0.75), bias: float(1), size: anyInt },
    types: sameAsInput,
  }),
  LayerNormalization: defineOp(17, [2, 3], [1, 3], {
    differentiable: true,
    attributes: { axis: int(-1), epsilon: float(1e-5), stash_type: int(1) },
    types: layerNormType,
  }),
  // Before opset 13 Softmax and its kin took all axes from `axis` on, 1 by default; since then one, the last by default.
  LogSoftmax: defineOp(1, 1, 1, { differentiable: true, attributes: { axis: anyInt }, types: sameAsInput }),
  LpNormalization: defineOp(1, 1, 1, { attributes: { axis: int(-1), p: int(2) }, types: sameAsInput }),
  MeanVarianceNormalization: defineOp(9, 1, 1, { attributes: { axes: ints }, types: sameAsInput }),
  RMSNormalization: defineOp(23, 2, 1, {
    attributes: { axis: int(-1), epsilon: float(1e-5), stash_type: int(1) },
    types: sameAsInput,
  }),
  // In ai.onnx by ONNX Runtime's own registration, not by the specification.
  SimplifiedLayerNormalization: defineOp(1, 2, [1, 2], {
    attributes: { axis: int(-1), epsilon: float(1e-5), stash_type: int(1) },
    types: layerNormType,
  }),
  Softmax: defineOp(1, 1, 1, { differentiable: true, attributes: { axis: anyInt }, types: sameAsInput }),
} satisfies OpTable
