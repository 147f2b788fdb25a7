import { anyInt, defineOp, float, int, string, type OpInit, type OpTable } from '../definition.ts'
import { castLikeType, castType, sameAsInput, sameDims } from '../rules/elementwise.ts'
import { copyElements } from '../rules/elements.ts'

/** One input, one output, element by element, dtype and dims unchanged. */
function unary(since: number, init: OpInit = {}) {
  return defineOp(since, 1, 1, { elementwise: true, types: sameAsInput, ...init })
}

function activation(since: number, attributes: OpInit['attributes'] = {}) {
  return unary(since, { activation: true, attributes })
}

function test(since: number, attributes: OpInit['attributes'] = {}) {
  return unary(since, { attributes, types: sameDims('bool') })
}

export const activations = {
  Celu: activation(12, { alpha: float(1) }),
  // Bounds are attributes before opset 11 and inputs since.
  Clip: defineOp(1, [1, 3], 1, {
    elementwise: true,
    activation: true,
    types: sameAsInput,
    attributes: { min: float(-3.402823466e38), max: float(3.402823466e38) },
  }),
  Elu: activation(1, { alpha: float(1) }),
  Gelu: activation(20, { approximate: string('none') }),
  HardSigmoid: activation(1, { alpha: float(0.2), beta: float(0.5) }),
  HardSwish: activation(14),
  LeakyRelu: activation(1, { alpha: float(0.01) }),
  Mish: activation(18),
  PRelu: defineOp(1, 2, 1, { elementwise: true, types: sameAsInput }),
  Relu: activation(1),
  Selu: activation(1, { alpha: float(1.67326319217681884765625), gamma: float(1.05070102214813232421875) }),
  Shrink: activation(9, { bias: float(0), lambd: float(0.5) }),
  Sigmoid: activation(1),
  Softplus: activation(1),
  Softsign: activation(1),
  Swish: activation(24, { alpha: float(1) }),
  Tanh: activation(1),
  ThresholdedRelu: activation(10, { alpha: float(1) }),
} satisfies OpTable

export const unaries = {
  Abs: unary(1),
  Acos: unary(7),
  Acosh: unary(9),
  Asin: unary(7),
  Asinh: unary(9),
  Atan: unary(7),
  Atanh: unary(9),
  BitwiseNot: unary(18),
  Cast: unary(1, {
    attributes: { to: anyInt, saturate: int(1), round_mode: string('up') },
    types: castType,
    elements: copyElements,
  }),
  CastLike: defineOp(15, 2, 1, { attributes: { saturate: int(1), round_mode: string('up') }, types: castLikeType }),
  Ceil: unary(1),
  Cos: unary(7),
  Cosh: unary(9),
  Dropout: defineOp(1, [1, 3], [1, 2], {
    attributes: { seed: anyInt, ratio: float(0.5), is_test: int(0) },
    types: (context) => [context.input(0), ...sameDims('bool')(context)],
    foldable: false,
  }),
  Erf: unary(9),
  Exp: unary(1),
  Floor: unary(1),
  Identity: unary(1, { movesData: true, elements: copyElements }),
  IsInf: test(10, { detect_negative: int(1), detect_positive: int(1) }),
  IsNaN: test(9),
  Log: unary(1),
  Neg: unary(1),
  Not: test(1),
  Reciprocal: unary(1),
  Round: unary(11),
  Sign: unary(9),
  Sin: unary(7),
  Sinh: unary(9),
  Sqrt: unary(1),
  Tan: unary(7),
} satisfies OpTable
