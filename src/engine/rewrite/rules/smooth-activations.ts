import { attribute } from '../../ir/attribute.ts'
import type { Node, Value } from '../../ir/graph.ts'
import { constantValue } from '../../ops/index.ts'
import { isClose, scalarOf } from '../constants.ts'
import { any, constant, op, opWhere, type Match } from '../pattern.ts'
import { factorsOf, isPolynomial, polynomialIn } from '../polynomial.ts'
import { defineRule, type Builder, type Rule, type RuleScope } from '../rule.ts'

// gelu(x) = x/2 · (1 + erf(x/√2)), and by tanh x/2 · (1 + tanh(√(2/π) · (x + 0.044715 x³)))
// (Hendrycks and Gimpel, Gaussian Error Linear Units, 2016). Exporters write it in many orders, so it is read as a
// product of x, a half and one plus a function of a polynomial in x, not as a tree.

type Form = 'erf' | 'tanh'

const root2OverPi = Math.sqrt(2 / Math.PI)

/** What the function is taken of, as a polynomial in x. */
const argument: Readonly<Record<string, { form: Form; coefficients: readonly number[]; tolerance: number }>> = {
  Erf: { form: 'erf', coefficients: [0, Math.SQRT1_2], tolerance: 1e-5 },
  Tanh: { form: 'tanh', coefficients: [0, root2OverPi, 0, root2OverPi * 0.044715], tolerance: 1e-5 },
}

interface Gelu {
  readonly x: Value
  readonly form: Form
}

function isPrivate(value: Value): boolean {
  return value.uses.size === 1 && !value.isGraphOutput
}

/** The node f of a sum 1 + f(…). */
function onePlus(sum: Value): Node | undefined {
  const node = sum.producer
  if (node?.opType !== 'Add' || node.domain !== '') return undefined
  const other = node.inputs.find((input) => constantValue(input) === undefined)
  const one = node.inputs.find((input) => constantValue(input) !== undefined)
  const isOne = isClose(scalarOf(constantValue(one)), 1)
  return isOne && other !== undefined && isPrivate(other) ? other.producer : undefined
}

function readGelu(root: Node): Gelu | undefined {
  const [output] = root.outputs
  if (output === undefined) return undefined
  const { constant: half, values } = factorsOf(output)
  if (values.length !== 2 || !isClose(half, 0.5)) return undefined
  for (const [x, sum] of [values, values.toReversed()] as [Value, Value][]) {
    const inner = onePlus(sum)
    const expected = inner?.domain === '' ? argument[inner.opType] : undefined
    if (inner === undefined || expected === undefined) continue
    const found = polynomialIn(x, inner.inputs[0])
    if (isPolynomial(found, expected.coefficients, expected.tolerance)) return { x, form: expected.form }
  }
  return undefined
}

function isFloat32(value: Value | undefined, { types }: RuleScope): boolean {
  return types.of(value)?.dtype === 'float32'
}

/** ai.onnx has Gelu since opset 20; before that the runtime's own operators are it. */
function buildGelu(build: Builder, { x, form }: Gelu, { opset }: RuleScope): Value {
  if (opset < 20) return build.op(form === 'erf' ? 'Gelu' : 'FastGelu', [x], {}, 'com.microsoft')
  return build.op('Gelu', [x], { approximate: attribute.string(form === 'erf' ? 'none' : 'tanh') })
}

const gelu = defineRule({
  name: 'fuse-gelu',
  title: 'x/2 · (1 + erf(x/√2)), or its form by tanh, became one Gelu',
  match: [opWhere('Mul', [any('a'), any('b')]), opWhere('Div', [any('a'), constant()])],
  when: ({ root }, scope) => {
    const found = readGelu(root)
    if (found === undefined) return false
    return isFloat32(found.x, scope) || 'the runtime has Gelu in float32 only'
  },
  replace: (build, { root }, scope) => buildGelu(build, readGelu(root) as Gelu, scope),
})

const one = constant((tensor) => tensor.dtype === 'float32' && isClose(scalarOf(tensor), 1))
const x = any('x')
/** 1 + e⁻ˣ */
const denominator = op('Add', op('Exp', op('Neg', x)), one)

const isFloatInput = ({ values }: Match, scope: RuleScope) => isFloat32(values['x'], scope)

/** 1 / (1 + e⁻ˣ) */
const sigmoid = defineRule({
  name: 'fuse-sigmoid',
  title: '1 / (1 + exp(−x)) became Sigmoid',
  match: [op('Div', one, denominator), op('Reciprocal', denominator)],
  when: isFloatInput,
  replace: (build, { values }) => build.op('Sigmoid', [values['x']]),
})

/** x / (1 + e⁻ˣ) */
const silu = defineRule({
  name: 'fuse-silu',
  title: 'x / (1 + exp(−x)) became x · Sigmoid(x)',
  match: op('Div', x, denominator),
  when: isFloatInput,
  // Not QuickGelu: ONNX Runtime makes that of the product itself, and int8 has kernels for Sigmoid and Mul only.
  replace: (build, { values }) => build.op('Mul', [values['x'], build.op('Sigmoid', [values['x']])]),
})

/** softplus(x) = ln(1 + eˣ), and mish(x) = x · tanh(softplus(x)) (Misra, 2019), which ai.onnx has since opset 18. */
const mish = defineRule({
  name: 'fuse-mish',
  title: 'x · tanh(softplus(x)) became Mish',
  match: op('Mul', x, op('Tanh', op('Softplus', x))),
  when: (match, scope) => {
    if (!isFloatInput(match, scope)) return 'the runtime has Mish in float32 only'
    return scope.opset >= 18 || `opset ${scope.opset} has no Mish; the option opset upgrades`
  },
  replace: (build, { values }) => build.op('Mish', [values['x']]),
})

/** Decomposed activations that are smooth. */
export const smoothActivationRules: readonly Rule[] = [gelu, silu, sigmoid, mish]
