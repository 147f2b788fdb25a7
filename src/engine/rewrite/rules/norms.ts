import { attribute, getFloat, getInt } from '../../ir/attribute.ts'
import type { Node, Value } from '../../ir/graph.ts'
import { elementCount, tensorOf, viewOf, type Tensor } from '../../ir/tensor.ts'
import { constantValue } from '../../ops/index.ts'
import { isClose, scalarOf } from '../constants.ts'
import { any, constant, op, opWhere, type Match, type OpPattern, type Pattern } from '../pattern.ts'
import { defineRule, type Builder, type Rule, type RuleScope } from '../rule.ts'
import { numbersAt } from './no-ops.ts'

// LayerNormalization: γ · (x − mean) / √(var + ε) + β (Ba et al., 2016); RMSNorm: γ · x / √(mean(x²) + ε)
// (Zhang and Sennrich, 2019), both over the last axis.

const x = any('x')
const weight = constant((tensor) => tensor.dtype === 'float32', 'gamma')
const epsilon = constant((tensor) => tensor.dtype === 'float32' && elementCount(tensor.dims) === 1, 'epsilon')
const two = constant((tensor) => isClose(scalarOf(tensor), 2))
const half = constant((tensor) => isClose(scalarOf(tensor), 0.5))
const one = constant((tensor) => isClose(scalarOf(tensor), 1))

const mean = (value: Pattern) => opWhere('ReduceMean', [value], (node) => getInt(node, 'keepdims', 1) === 1)
const squares = (value: Pattern): OpPattern[] => [op('Pow', value, two), op('Mul', value, value)]
const roots = (value: Pattern): OpPattern[] => [op('Sqrt', value), op('Pow', value, half)]

/** `value` divided by the root of the mean of the squares of `of`, in the forms exporters write. */
function divided(value: Pattern, of: Pattern): OpPattern[] {
  const variances = squares(of).map((square) => op('Add', mean(square), epsilon))
  return variances
    .flatMap(roots)
    .flatMap((root) => [
      op('Div', value, root),
      op('Mul', value, op('Reciprocal', root)),
      op('Mul', value, op('Div', one, root)),
    ])
}

function scaled(value: OpPattern): OpPattern {
  return op('Mul', value, weight)
}

/** Whether every mean of a match is over the last axis of `x`, whose rank is known where an axis is not −1. */
function overLastAxis({ nodes, values }: Match, { types }: RuleScope): boolean {
  const rank = types.of(values['x'])?.dims?.length
  return nodes
    .filter((node) => node.opType === 'ReduceMean')
    .every((node) => {
      const axes = numbersAt(node, 'axes', 1)
      return axes?.length === 1 && (axes[0] === -1 || (rank !== undefined && axes[0] === rank - 1))
    })
}

/** γ or β as one number per element of the last axis; undefined when it varies along other axes. */
function alongLastAxis(tensor: Tensor, size: number | undefined): Tensor | undefined {
  const count = elementCount(tensor.dims)
  if (tensor.dtype !== 'float32' || tensor.dims.at(-1) !== count) return undefined
  if (size === undefined ? count > 1 : count === size) return { ...tensor, dims: [count] }
  if (count !== 1 || size === undefined) return undefined
  return tensorOf('float32', [size], new Float32Array(size).fill(viewOf(tensor, 'float32')[0] ?? 0))
}

function lastDim(value: Value | undefined, { types }: RuleScope): number | undefined {
  const dim = types.of(value)?.dims?.at(-1)
  return typeof dim === 'number' ? dim : undefined
}

function whyNot(match: Match, scope: RuleScope): boolean | string {
  if (!overLastAxis(match, scope)) return 'a mean is not over the last axis'
  const { dtype } = scope.types.of(match.values['x']) ?? {}
  if (dtype !== 'float32') return 'the runtime has it in float32 only'
  if (match.nodes.slice(1).some((node) => node.outputs[0]?.isGraphOutput)) return 'a value inside it is an output'
  const gamma = constantValue(match.values['gamma']) as Tensor
  const rank = scope.types.of(match.values['x'])?.dims?.length
  if (rank === undefined || gamma.dims.length > rank) return 'the rank of its input is not known'
  const fits = alongLastAxis(gamma, lastDim(match.values['x'], scope)) !== undefined
  return fits || 'its scale is not one number per element of the last axis'
}

function normalize(opType: string, build: Builder, match: Match, scope: RuleScope): Value {
  const gamma = alongLastAxis(constantValue(match.values['gamma']) as Tensor, lastDim(match.values['x'], scope))
  const attributes = {
    axis: attribute.int(-1),
    epsilon: attribute.float(scalarOf(constantValue(match.values['epsilon'])) ?? 0),
  }
  return build.op(opType, [match.values['x'], build.constant(gamma as Tensor, 'scale')], attributes)
}

// The centred value is written once and read twice, or twice.
const centred = op('Sub', x, mean(x))

const layerNorm = defineRule({
  name: 'fuse-layer-norm',
  title: 'a decomposed layer normalization became LayerNormalization',
  match: divided(centred, centred).map(scaled),
  when: (match, scope) => {
    const fits = whyNot(match, scope)
    if (fits !== true || scope.opset >= 17) return fits
    return `opset ${scope.opset} has no LayerNormalization; the option opset upgrades`
  },
  replace: (build, match, scope) => normalize('LayerNormalization', build, match, scope),
})

function isCentred(value: Value | undefined): boolean {
  const node = value?.producer
  return node?.opType === 'Sub' && node.inputs[1]?.producer?.opType === 'ReduceMean'
}

const rmsNorm = defineRule({
  name: 'fuse-rms-norm',
  title: 'a decomposed root mean square normalization became one operator',
  match: divided(x, x).map(scaled),
  // Of a centred value it is the rest of a layer normalization, which the runtime knows as a whole.
  when: (match, scope) => !isCentred(match.values['x']) && whyNot(match, scope),
  replace: (build, match, scope) => {
    // RMSNormalization is in ai.onnx since opset 23; before that the runtime registers it under this name.
    const opType = scope.opset >= 23 ? 'RMSNormalization' : 'SimplifiedLayerNormalization'
    return normalize(opType, build, match, scope)
  },
})

function isLastAxis(node: Node): boolean {
  return node.opType === 'LayerNormalization' && getInt(node, 'axis', -1) === -1
}

const normBias = defineRule({
  name: 'merge-norm-bias',
  title: 'the bias after a LayerNormalization became its own',
  match: op(
    'Add',
    opWhere('LayerNormalization', [x, weight], (node) => node.inputs.length === 2 && isLastAxis(node)),
    constant((tensor) => tensor.dtype === 'float32', 'beta'),
  ),
  when: ({ nodes: [, norm], values }) => {
    const output = norm?.outputs[0]
    if (output === undefined || output.uses.size !== 1 || output.isGraphOutput) return 'its result has other readers'
    return alongLastAxis(constantValue(values['beta']) as Tensor, sizeOf(values)) !== undefined
  },
  replace: (build, { nodes: [, norm], values }) => {
    const beta = alongLastAxis(constantValue(values['beta']) as Tensor, sizeOf(values)) as Tensor
    const inputs = [values['x'], values['gamma'], build.constant(beta, 'bias')]
    const attributes = { axis: attribute.int(-1), epsilon: attribute.float(getFloat(norm as Node, 'epsilon', 1e-5)) }
    return build.op('LayerNormalization', inputs, attributes)
  },
})

function sizeOf(values: Match['values']): number {
  return elementCount((constantValue(values['gamma']) as Tensor).dims)
}

/** Decomposed normalizations. Skip connections around them the runtime fuses by itself. */
export const normRules: readonly Rule[] = [layerNorm, normBias, rmsNorm]
