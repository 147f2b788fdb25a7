import { anyInt, defineOp, int, ints, string, type OpInit, type OpTable, type OpTraits } from '../definition.ts'
import { productElements } from '../rules/elements.ts'
import { sameAsInput } from '../rules/elementwise.ts'
import { uniqueType } from '../rules/indexing.ts'
import { lossType } from '../rules/signals.ts'
import { argType, reduceType, topKType } from '../rules/reduction.ts'

// Axes are an attribute before opset 13 (ReduceSum) or 18, an input since.
function reduction(init: OpInit = {}) {
  return defineOp(1, [1, 2], 1, {
    ...init,
    attributes: { axes: ints, keepdims: int(1), noop_with_empty_axes: int(0) },
    types: reduceType,
    differentiable: true,
  })
}

function argReduction() {
  return defineOp(1, 1, 1, {
    attributes: { axis: int(0), keepdims: int(1), select_last_index: int(0) },
    types: argType,
  })
}

function cumulative(since: number, traits: OpTraits = {}) {
  return defineOp(since, 2, 1, { attributes: { exclusive: int(0), reverse: int(0) }, types: sameAsInput, ...traits })
}

export const reductions = {
  ArgMax: argReduction(),
  ArgMin: argReduction(),
  CumProd: cumulative(26),
  CumSum: cumulative(11, { differentiable: true }),
  NegativeLogLikelihoodLoss: defineOp(12, [2, 3], 1, {
    attributes: { ignore_index: anyInt, reduction: string('mean') },
    types: lossType,
  }),
  ReduceL1: reduction(),
  ReduceL2: reduction(),
  ReduceLogSum: reduction(),
  ReduceLogSumExp: reduction(),
  ReduceMax: reduction(),
  ReduceMean: reduction(),
  ReduceMin: reduction(),
  ReduceProd: reduction({ elements: productElements }),
  ReduceSum: reduction(),
  ReduceSumSquare: reduction(),
  SoftmaxCrossEntropyLoss: defineOp(12, [2, 3], [1, 2], {
    attributes: { ignore_index: anyInt, reduction: string('mean') },
    types: lossType,
  }),
  TopK: defineOp(1, [1, 2], 2, {
    attributes: { axis: int(-1), k: anyInt, largest: int(1), sorted: int(1) },
    types: topKType,
  }),
  Unique: defineOp(11, 1, [1, 4], { attributes: { axis: anyInt, sorted: int(1) }, types: uniqueType }),
} satisfies OpTable
