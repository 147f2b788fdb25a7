import { tensorOf } from '../../../../src/engine/ir/tensor.ts'
import { floats } from '../../passes/support.ts'
import type { GradientCase } from '../gradient-case.ts'

const positive = (random: number) => 1.5 + random
const awayFromZero = (random: number) => Math.sign(random) * (1 + Math.abs(random))
const wide = (random: number) => 4 * random
const inside = (random: number) => 0.9 * random

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
  { name: 'by itself', inputs: [[2, 3]], nodes: [['Mul', ['x0', 'x0'], ['y0']]] },
]
const several: readonly GradientCase[] = [
  { name: 'one', inputs: [[2, 3]] },
  { name: 'two', inputs: [[2, 3], [3]] },
  { name: 'three', inputs: [[2, 3], [3], [2, 1]] },
  { name: 'the last of three alone', inputs: [[2, 3], [3], [2, 1]], without: [0, 1] },
]
const by = (value?: (random: number, input: number) => number): readonly GradientCase[] => [
  { name: 'a matrix', inputs: [[2, 3]], ...(value && { value }) },
]
const withAttributes = (attributes: GradientCase['attributes'], opset = 17): GradientCase => ({
  name: 'parameters',
  inputs: [[2, 5]],
  attributes: attributes ?? {},
  value: wide,
  opset,
})
const scalar = (value: number) => floats([], [value])

export const arithmeticCases = {
  Add: broadcasts,
  Clip: [
    { name: 'constant bounds', inputs: [[2, 4], scalar(-0.5), scalar(0.4)] },
    { name: 'no lower bound', inputs: [[2, 4], '', scalar(0.4)] },
    {
      name: 'bounds as inputs',
      inputs: [[3, 4], [], []],
      value: (random, input) => [random, -0.5, 0.4][input] as number,
    },
  ],
  Div: broadcasts.map((one) => Object.assign({}, one, { value: awayFromZero })),
  Max: several,
  Mean: several,
  Min: several,
  Mul: broadcasts,
  Pow: [
    { name: 'a square', inputs: [[2, 3], scalar(2)] },
    { name: 'a cube', inputs: [[2, 3], scalar(3)] },
    { name: 'a root', inputs: [[2, 3], scalar(0.5)], value: positive },
    { name: 'a whole exponent', inputs: [[2, 3], tensorOf('int64', [], BigInt64Array.of(3n))] },
    { name: 'any exponent', inputs: [[2, 3], [3]], value: positive },
    {
      name: 'base alone',
      inputs: [
        [2, 3],
        [2, 1],
      ],
      value: positive,
      without: [1],
    },
  ],
  Sub: broadcasts,
  Sum: several,
  Where: [
    { name: 'same dims', inputs: [tensorOf('bool', [2, 2], Uint8Array.of(1, 0, 0, 1)), [2, 2], [2, 2]] },
    { name: 'broadcast', inputs: [tensorOf('bool', [2, 1], Uint8Array.of(1, 0)), [3], [2, 3]] },
  ],
} satisfies Record<string, readonly GradientCase[]>

export const activationCases = {
  Celu: [withAttributes({}), withAttributes({ alpha: 0.7 })],
  Elu: [withAttributes({}), withAttributes({ alpha: 0.7 })],
  Gelu: [withAttributes({}, 20), withAttributes({ approximate: 'tanh' }, 20)],
  HardSigmoid: [withAttributes({}), withAttributes({ alpha: 0.3, beta: 0.4 })],
  HardSwish: [{ name: 'every part', inputs: [[3, 6]], value: wide }],
  LeakyRelu: [withAttributes({}), withAttributes({ alpha: 0.3 })],
  Mish: [{ name: 'wide', inputs: [[2, 5]], value: wide, opset: 18 }],
  PRelu: [
    {
      name: 'a slope a channel',
      inputs: [
        [2, 3, 2],
        [3, 1],
      ],
    },
    { name: 'one slope', inputs: [[2, 3], [1]] },
  ],
  Relu: by(),
  Selu: [withAttributes({}), withAttributes({ alpha: 1.5, gamma: 0.8 })],
  // The runtime computes it in float32, whatever the dtype.
  Shrink: [Object.assign(withAttributes({ lambd: 1.2, bias: 0.3 }), { dtype: 'float32' as const })],
  Sigmoid: by(wide),
  Softplus: by(wide),
  Softsign: by(wide),
  Swish: [withAttributes({ alpha: 0.7 }, 24)],
  Tanh: by(wide),
  ThresholdedRelu: [withAttributes({ alpha: 0.5 })],
} satisfies Record<string, readonly GradientCase[]>

export const pointwiseCases = {
  Abs: by(),
  Acos: by(inside),
  Acosh: by((random) => 2.5 + random),
  Asin: by(inside),
  Asinh: by(wide),
  Atan: by(wide),
  Atanh: by(inside),
  Cast: [
    {
      name: 'to float64 and back',
      inputs: [[2, 3]],
      dtype: 'float32',
      nodes: [
        ['Cast', ['x0'], ['h'], { to: 11 }],
        ['Cast', ['h'], ['y0'], { to: 1 }],
      ],
    },
  ],
  CastLike: [
    {
      name: 'to float64 and back',
      inputs: [[2, 3]],
      dtype: 'float32',
      nodes: [
        ['Cast', ['x0'], ['h'], { to: 11 }],
        ['CastLike', ['h', 'x0'], ['y0']],
      ],
    },
  ],
  Ceil: by(),
  Cos: by(wide),
  Cosh: by(),
  Dropout: [
    { name: 'no mode', inputs: [[2, 3]] },
    { name: 'not training', inputs: [[2, 3], scalar(0.5), tensorOf('bool', [], Uint8Array.of(0))] },
  ],
  Erf: by(),
  Exp: by(),
  Floor: by(),
  Identity: by(),
  Log: by(positive),
  Neg: by(),
  Reciprocal: by(awayFromZero),
  Round: by(),
  Sign: by(),
  Sin: by(wide),
  Sinh: by(),
  Sqrt: by(positive),
  Tan: by(inside),
} satisfies Record<string, readonly GradientCase[]>
