import { anyInt, defineOp, int, string, type OpTable } from '../definition.ts'
import { sameAsInput } from '../rules/elementwise.ts'
import {
  compressType,
  gatherElementsKnown,
  gatherElementsType,
  gatherNdType,
  gatherType,
  nonZeroType,
  oneHotType,
} from '../rules/indexing.ts'

export const indexing = {
  Compress: defineOp(9, 2, 1, { movesData: true, attributes: { axis: anyInt }, types: compressType }),
  Gather: defineOp(1, 2, 1, {
    differentiable: true,
    movesData: true,
    attributes: { axis: int(0) },
    types: gatherType,
    elements: gatherElementsKnown,
    // An embedding table: rows are what is looked up.
    quantizable: { weightInput: 0, channelAxis: () => 0 },
  }),
  GatherElements: defineOp(11, 2, 1, {
    differentiable: true,
    movesData: true,
    attributes: { axis: int(0) },
    types: gatherElementsType,
  }),
  GatherND: defineOp(11, 2, 1, {
    differentiable: true,
    movesData: true,
    attributes: { batch_dims: int(0) },
    types: gatherNdType,
  }),
  NonMaxSuppression: defineOp(10, [2, 5], 1, {
    attributes: { center_point_box: int(0) },
    types: () => [{ dtype: 'int64', dims: [null, 3] }],
  }),
  NonZero: defineOp(9, 1, 1, { types: nonZeroType }),
  OneHot: defineOp(9, 3, 1, { attributes: { axis: int(-1) }, types: oneHotType }),
  Scatter: defineOp(9, 3, 1, { attributes: { axis: int(0) }, types: sameAsInput }),
  ScatterElements: defineOp(11, 3, 1, { attributes: { axis: int(0), reduction: string('none') }, types: sameAsInput }),
  ScatterND: defineOp(11, 3, 1, { attributes: { reduction: string('none') }, types: sameAsInput }),
  TensorScatter: defineOp(24, [2, 3], 1, { attributes: { axis: int(-2), mode: string('linear') }, types: sameAsInput }),
} satisfies OpTable
