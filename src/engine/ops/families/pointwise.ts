import { anyInt, defineOp, float, int, string, type OpInit, type OpTable } from '../definition.ts'
import { castLikeType, castType, sameAsInput, sameDims } from '../rules/elementwise.ts'
import { copyElements } from '../rules/elements.ts'

/** One input, one output, element by element, dtype and dims unchanged. */
function unary(since: number, init: OpInit = {}) {
  return defineOp(since, 1, 1, { elementwise: true, types: sameAsInput, ...init })
}

function activation(since: number, attributes: OpInit['attributes'] = {}) {
  return unary(since, { activation: true, differentiable: true, attributes })
}

function test(since: number, attributes: OpInit['attributes'] = {}) {
  return unary(since, { attributes, types: sameDims('bool') })
}

export const activations = {
  Celu: activation(12, { alpha: float(1) }),
  // Bounds are attributes before opset 11 and inputs since.
  Clip: defineOp(1, [1, 3], 1, {
    differentiable: true,
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
  PRelu: defineOp(1, 2, 1, { differentiable: true, elementwise: true, types: sameAsInput }),
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
  Abs: unary(1, { differentiable: true }),
  Acos: unary(7, { differentiable: true }),
  Acosh: unary(9, { differentiable: true }),
  Asin: unary(7, { differentiable: true }),
  Asinh: unary(9, { differentiable: true }),
  Atan: unary(7, { differentiable: true }),
  Atanh: unary(9, { differentiable: true }),
  BitwiseNot: unary(18),
  Cast: unary(1, {
    differentiable: true,
    attributes: { to: anyInt, saturate: int(1), round_mode: string('up') },
    types: castType,
    elements: copyElements,
  }),
  CastLike: defineOp(15, 2, 1, {
    differentiable: true,
    attributes: { saturate: int(1), round_mode: string('up') },
    types: castLikeType,
  }),
  Ceil: unary(1, { differentiable: true }),
  Cos: unary(7, { differentiable: true }),
  Cosh: unary(9, { differentiable: true }),
  Dropout: defineOp(1, [1, 3], [1, 2], {
    differentiable: true,
    attributes: { seed: anyInt, ratio: float(0.5), is_test: int(0) },
    types: (context) => [context.input(0), ...sameDims('bool')(context)],
    foldable: false,
  }),
  Erf: unary(9, { differentiable: true }),
  Exp: unary(1, { differentiable: true }),
  Floor: unary(1, { differentiable: true }),
  Identity: unary(1, { differentiable: true, movesData: true, elements: copyElements }),
  IsInf: test(10, { detect_negative: int(1), detect_positive: int(1) }),
  IsNaN: test(9),
  Log: unary(1, { differentiable: true }),
  Neg: unary(1, { differentiable: true }),
  Not: test(1),
  Reciprocal: unary(1, { differentiable: true }),
  Round: unary(11, { differentiable: true }),
  Sign: unary(9, { differentiable: true }),
  Sin: unary(7, { differentiable: true }),
  Sinh: unary(9, { differentiable: true }),
  Sqrt: unary(1, { differentiable: true }),
  Tan: unary(7, { differentiable: true }),
} satisfies OpTable
