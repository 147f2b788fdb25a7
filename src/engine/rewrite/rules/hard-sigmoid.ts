import { attribute, getFloat } from '../../ir/attribute.ts'
import type { Node } from '../../ir/graph.ts'
import { constantValue } from '../../ops/index.ts'
import { isClose, scalarOf } from '../constants.ts'
import { any, constant, op, opWhere, type OpPattern, type Pattern } from '../pattern.ts'
import { defineRule, type Rule } from '../rule.ts'

// hardsigmoid(x) = clip(x + 3, 0, 6) / 6 = max(0, min(1, x/6 + 1/2)), and hardswish(x) = x · hardsigmoid(x)
// (Howard et al., Searching for MobileNetV3, 2019). ONNX Runtime runs HardSigmoid as one kernel, and fuses
// HardSigmoid · x into the convolution before it; the decomposed form it runs node by node.

const x = any('x')

/** A float32 constant with one element of this value: ONNX Runtime's HardSigmoid takes float32 only. */
function number(value: number) {
  return constant((tensor) => tensor.dtype === 'float32' && isClose(scalarOf(tensor), value))
}

/** Bounds of a Clip: attributes before opset 11, then inputs. */
function clips(node: Node, low: number, high: number): boolean {
  const min = node.inputs[1] === undefined ? getFloat(node, 'min') : scalarOf(constantValue(node.inputs[1]))
  const max = node.inputs[2] === undefined ? getFloat(node, 'max') : scalarOf(constantValue(node.inputs[2]))
  return isClose(min, low) && isClose(max, high)
}

/** clip(x + 3, 0, 6) in the forms exporters write. */
const shifted = op('Add', x, number(3))
const clipped: readonly OpPattern[] = [
  opWhere('Clip', [shifted], (node) => clips(node, 0, 6)),
  op('Min', op('Relu', shifted), number(6)),
  op('Min', op('Max', shifted, number(0)), number(6)),
  op('Max', op('Min', shifted, number(6)), number(0)),
]

/** A sixth of a value. */
function sixth(value: Pattern): OpPattern[] {
  return [op('Div', value, number(6)), op('Mul', value, number(1 / 6))]
}

const coefficients = { alpha: attribute.float(1 / 6), beta: attribute.float(0.5) }

const hardSigmoid = defineRule({
  name: 'fuse-hard-sigmoid',
  title: 'clip(x + 3, 0, 6) / 6 becomes HardSigmoid',
  match: clipped.flatMap(sixth),
  replace: (build, { values }) => build.op('HardSigmoid', [values['x']], coefficients),
})

const hardSwish = defineRule({
  name: 'fuse-hard-swish',
  title: 'x · clip(x + 3, 0, 6) / 6 becomes x · HardSigmoid(x)',
  match: clipped.flatMap((clip) => sixth(op('Mul', x, clip))),
  replace: (build, { values }) => build.op('Mul', [values['x'], build.op('HardSigmoid', [values['x']], coefficients)]),
})

/** Decomposed activations. The swish goes first, since its root is the outer one. */
export const activationRules: readonly Rule[] = [hardSwish, hardSigmoid]
