import type { GradientCase } from '../gradient-case.ts'

const broadcasts: readonly GradientCase[] = [
  {
    name: 'same dims',
    inputs: [
      [2, 3],
      [2, 3],
    ],
  },
  { name: 'a row', inputs: [[2, 3], [3]] },
  { name: 'a scalar', inputs: [[2, 3], []] },
  {
    name: 'both ways',
    inputs: [
      [2, 1, 3],
      [4, 1],
    ],
  },
  {
    name: 'a channel',
    inputs: [
      [2, 3, 2],
      [1, 3, 1],
    ],
  },
]
const plain: readonly GradientCase[] = [{ name: 'a matrix', inputs: [[2, 3]] }]
const positive: readonly GradientCase[] = [{ name: 'positive', inputs: [[2, 3]], value: (random) => 1.5 + random }]

export const elementwiseCases = {
  Add: broadcasts,
  Sub: broadcasts,
  Mul: broadcasts,
  Div: broadcasts.map((one) =>
    Object.assign({}, one, { value: (random: number) => Math.sign(random) * (1 + Math.abs(random)) }),
  ),
  Sum: [{ name: 'three', inputs: [[2, 3], [3], [2, 1]] }],
  Identity: plain,
  Neg: plain,
  Exp: plain,
  Log: positive,
  Sqrt: positive,
  Relu: plain,
} satisfies Record<string, readonly GradientCase[]>
