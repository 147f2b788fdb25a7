import { int64s } from '../../passes/support.ts'
import type { GradientCase } from '../gradient-case.ts'

const byAttribute: readonly GradientCase[] = [
  { name: 'every axis', inputs: [[2, 3]] },
  { name: 'every axis, dropped', inputs: [[2, 3]], attributes: { keepdims: 0 } },
  { name: 'one axis', inputs: [[2, 3, 2]], attributes: { axes: [1] } },
  { name: 'the last, dropped', inputs: [[2, 3, 2]], attributes: { axes: [-1], keepdims: 0 } },
  { name: 'two, dropped', inputs: [[2, 3, 2]], attributes: { axes: [0, 2], keepdims: 0 } },
]
const byInput: readonly GradientCase[] = byAttribute.map(({ name, inputs, attributes }) => {
  const { axes, ...rest } = (attributes ?? {}) as { axes?: number[]; keepdims?: number }
  return { name, inputs: axes === undefined ? inputs : [...inputs, int64s([axes.length], axes)], attributes: rest }
})
const softmax: readonly GradientCase[] = [
  { name: 'the last axis', inputs: [[2, 4]] },
  { name: 'the channels', inputs: [[2, 3, 2]], attributes: { axis: 1 } },
]

const positive = (random: number) => 1.5 + random
const apart = (cases: readonly GradientCase[], value: (random: number) => number) =>
  cases.map((one) => Object.assign({}, one, { value }))
const byBoth = [
  ...byAttribute,
  ...byInput.map((one) => Object.assign({}, one, { name: `${one.name}, opset 18`, opset: 18 })),
]

export const reductionCases = {
  CumSum: [
    { name: 'forward', inputs: [[2, 4], int64s([], [1])] },
    { name: 'backward, exclusive', inputs: [[3, 2], int64s([], [0])], attributes: { reverse: 1, exclusive: 1 } },
  ],
  ReduceL1: byAttribute,
  ReduceL2: byAttribute,
  ReduceLogSum: apart(byAttribute, positive),
  ReduceLogSumExp: byAttribute,
  ReduceMax: byAttribute,
  ReduceMean: byBoth,
  ReduceMin: byAttribute,
  ReduceProd: byAttribute,
  ReduceSum: [...byInput, { name: 'none', inputs: [[2, 3]], attributes: { noop_with_empty_axes: 1 } }],
  ReduceSumSquare: byBoth,
} satisfies Record<string, readonly GradientCase[]>

const sums = (name: string, equation: string, ...inputs: readonly (readonly number[])[]): GradientCase => ({
  name,
  inputs,
  attributes: { equation },
})

export const productCases = {
  Einsum: [
    sums('a product of matrices', 'ij,jk->ik', [2, 3], [3, 4]),
    sums('scores of attention', 'bihd, bjhd -> bhij', [2, 3, 1, 2], [2, 2, 1, 2]),
    sums('a weight by heads', 'bid,dhe->bhie', [2, 2, 3], [3, 2, 2]),
    sums('without a result', 'bk,ka', [2, 3], [3, 2]),
    sums('a letter that only one has', 'ij,jk->k', [2, 3], [3, 2]),
    sums('an outer product', 'i,j->ij', [2], [3]),
    sums('a number', 'ij,ij->', [2, 3], [2, 3]),
    sums('by a number', 'ij,->ji', [2, 3], []),
    sums('a batch that is not named', '...ij,...jk->...ik', [2, 2, 3], [2, 3, 2]),
    sums('a batch of one only', '...ij,jk->...ik', [2, 2, 3], [3, 2]),
    sums('three factors', 'ij,jk,kl->il', [2, 3], [3, 2], [2, 2]),
    sums('one, transposed', 'ijk->kij', [2, 3, 2]),
    sums('one, summed', 'ijk->j', [2, 3, 2]),
    sums('one, summed to a number', 'ij->', [2, 3]),
  ],
  Softmax: softmax,
  LogSoftmax: softmax,
  MatMul: [
    {
      name: 'matrices',
      inputs: [
        [2, 3],
        [3, 4],
      ],
    },
    {
      name: 'a batch by a matrix',
      inputs: [
        [2, 2, 3],
        [3, 4],
      ],
    },
    {
      name: 'a batch by a batch',
      inputs: [
        [2, 2, 3],
        [2, 3, 4],
      ],
    },
    {
      name: 'a matrix by a batch',
      inputs: [
        [2, 3],
        [2, 3, 4],
      ],
    },
    {
      name: 'batches that broadcast',
      inputs: [
        [2, 1, 2, 3],
        [3, 3, 2],
      ],
    },
    { name: 'a vector by a matrix', inputs: [[3], [3, 4]] },
    { name: 'a matrix by a vector', inputs: [[2, 3], [3]] },
    { name: 'a batch by a vector', inputs: [[2, 2, 3], [3]] },
    { name: 'vectors', inputs: [[3], [3]] },
  ],
  Gemm: [
    { name: 'with a row', inputs: [[2, 3], [3, 4], [4]] },
    {
      name: 'without C',
      inputs: [
        [2, 3],
        [3, 4],
      ],
    },
    {
      name: 'A transposed',
      inputs: [
        [3, 2],
        [3, 4],
        [2, 1],
      ],
      attributes: { transA: 1 },
    },
    {
      name: 'B transposed',
      inputs: [
        [2, 3],
        [4, 3],
        [2, 4],
      ],
      attributes: { transB: 1 },
    },
    {
      name: 'scaled, both transposed',
      inputs: [[3, 2], [4, 3], []],
      attributes: { transA: 1, transB: 1, alpha: 0.5, beta: 2 },
    },
  ],
} satisfies Record<string, readonly GradientCase[]>
