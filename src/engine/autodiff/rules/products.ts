import { getInt, getFloat } from '../../ir/attribute.ts'
import type { Value } from '../../ir/graph.ts'
import type { Backward, GradientRule, RuleTable } from '../rule.ts'

/**
 * Y = A·B. A matrix B shared by a batch of A is two products over all rows at once, by Gemm, which transposes for free;
 * transposes before batched products are fused by the runtime. Vectors are matrices with a dim of 1.
 */
const matMul: GradientRule = (back) => {
  const [a, b] = [back.x, back.input(1)]
  const [rankA, rankB] = [back.dims(a).length, back.dims(b).length]
  if (rankA === 1 || rankB === 1) return vectorMatMul(back)
  if (rankB > 2) return batchedMatMul(back, a, b, back.dy)
  return [() => back.reshapeLike(rowsProduct(back, back.dy, b), a), () => weightGradient(back, a, back.dy)]
}

/** dY·Bᵀ over the rows of a batch. */
function rowsProduct(back: Backward, dy: Value, b: Value): Value {
  return back.op('Gemm', [rowsOf(back, dy), b], { transB: 1 })
}

/** Aᵀ·dY, summed over the batch. */
function weightGradient(back: Backward, a: Value, dy: Value): Value {
  return back.op('Gemm', [rowsOf(back, a), rowsOf(back, dy)], { transA: 1 })
}

/** A batch of matrices as one with all their rows. */
function rowsOf(back: Backward, value: Value): Value {
  const rank = back.dims(value).length
  return rank === 2 ? value : back.op('Flatten', [value], { axis: rank - 1 })
}

function batchedMatMul(back: Backward, a: Value, b: Value, dy: Value): ReturnType<GradientRule> {
  return [
    () => back.reduceTo(back.op('MatMul', [dy, swapLast(back, b)]), a),
    () => back.reduceTo(back.op('MatMul', [swapLast(back, a), dy]), b),
  ]
}

/** The matrices of a batch transposed. */
function swapLast(back: Backward, value: Value): Value {
  const axes = back.dims(value).map((_, axis) => axis)
  return back.transpose(value, [...axes.slice(0, -2), axes.length - 1, axes.length - 2])
}

function vectorMatMul(back: Backward): ReturnType<GradientRule> {
  const [vector, other] = [back.x, back.input(1)]
  const [rankA, rankB] = [back.dims(vector).length, back.dims(other).length]
  const a = rankA === 1 ? back.op('Unsqueeze', [vector, back.ints([0])]) : vector
  const b = rankB === 1 ? back.op('Unsqueeze', [other, back.ints([1])]) : other
  const lost = [...(rankA === 1 ? [-2] : []), ...(rankB === 1 ? [-1] : [])]
  const dy = back.op('Unsqueeze', [back.dy, back.ints(lost)])
  const [byA, byB] = batchedMatMul(back, a, b, dy)
  return [() => back.reshapeLike(byA?.() as Value, vector), () => back.reshapeLike(byB?.() as Value, other)]
}

/** Y = α·A'·B' + β·C, where ' transposes by attribute: each gradient is one Gemm again. */
const gemm: GradientRule = (back) => {
  const { node, dy, op, x: a } = back
  const [transA, transB] = [getInt(node, 'transA', 0), getInt(node, 'transB', 0)]
  const [alpha, beta] = [getFloat(node, 'alpha', 1), getFloat(node, 'beta', 1)]
  const b = back.input(1)
  return [
    () =>
      transA === 0
        ? op('Gemm', [dy, b], { alpha, transB: 1 - transB })
        : op('Gemm', [b, dy], { alpha, transA: transB, transB: 1 }),
    () =>
      transB === 0
        ? op('Gemm', [a, dy], { alpha, transA: 1 - transA })
        : op('Gemm', [dy, a], { alpha, transA: 1, transB: transA }),
    () => {
      const sum = back.reduceTo(dy, back.input(2))
      return beta === 1 ? sum : back.mul(sum, beta)
    },
  ]
}

export const products = { MatMul: matMul, Gemm: gemm } satisfies RuleTable
