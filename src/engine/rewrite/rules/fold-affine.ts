import { attribute, getFloat, getInt } from '../../ir/attribute.ts'
import type { Node, Value } from '../../ir/graph.ts'
import { elementCount, tensorOf, viewOf, type Tensor } from '../../ir/tensor.ts'
import { constantValue } from '../../ops/index.ts'
import { numbersOf } from '../constants.ts'
import { any, constant, op, opWhere, type Match, type OpPattern } from '../pattern.ts'
import { defineRule, type Builder, type Rule } from '../rule.ts'

/** y → scale[c] · y + shift[c], per output channel. */
interface Affine {
  readonly scale: readonly number[]
  readonly shift: readonly number[]
}

interface LinearOp {
  /** Output channels by the weight and the node. */
  channels(weight: Tensor, node: Node): number
  /** Output channel of each element of the weight, in order. */
  channelOf(weight: Tensor, node: Node): (index: number) => number
  /** Factor of the bias in the result. */
  biasFactor(node: Node): number
}

const inner = (dims: readonly number[], from: number) => elementCount(dims.slice(from))
const dim = (weight: Tensor, index: number) => weight.dims[index] ?? 1

const linearOps: Readonly<Record<string, LinearOp>> = {
  Conv: {
    channels: (weight) => dim(weight, 0),
    channelOf: (weight) => {
      const size = inner(weight.dims, 1)
      return (index) => Math.floor(index / size)
    },
    biasFactor: () => 1,
  },
  // Weights [in, out / group, …]: rows of one group give that group's outputs.
  ConvTranspose: {
    channels: (weight, node) => dim(weight, 1) * getInt(node, 'group', 1),
    channelOf: (weight, node) => {
      const size = inner(weight.dims, 2)
      const perGroup = dim(weight, 1)
      const rows = dim(weight, 0) / getInt(node, 'group', 1)
      return (index) => {
        const row = Math.floor(index / (size * perGroup))
        return Math.floor(row / rows) * perGroup + (Math.floor(index / size) % perGroup)
      }
    },
    biasFactor: () => 1,
  },
  Gemm: {
    channels: (weight, node) => dim(weight, getInt(node, 'transB', 0) === 1 ? 0 : 1),
    channelOf: (weight, node) => {
      const columns = dim(weight, 1)
      return getInt(node, 'transB', 0) === 1 ? (index) => Math.floor(index / columns) : (index) => index % columns
    },
    biasFactor: (node) => getFloat(node, 'beta', 1),
  },
}

const linear = Object.keys(linearOps).map((opType) => opWhere(opType, [any('x'), constant(isFloat32, 'w')]))

function isFloat32(tensor: Tensor): boolean {
  return tensor.dtype === 'float32'
}

/** A rule that folds what follows a Conv, ConvTranspose or Gemm into its weights. */
function foldRule(
  name: string,
  title: string,
  around: (inner: OpPattern) => OpPattern[],
  affineOf: (match: Match, layout: Layout) => Affine | string,
): Rule {
  return defineRule({
    name,
    title,
    match: linear.flatMap(around),
    when: (match) => {
      const layout = layoutOf(match)
      if (typeof layout === 'string') return layout
      const affine = affineOf(match, layout)
      if (typeof affine === 'string') return affine
      const finite = [...affine.scale, ...affine.shift].every(Number.isFinite)
      return finite ? true : 'a factor is not finite'
    },
    replace: (build, match) => {
      const layout = layoutOf(match) as Layout
      return foldInto(build, layout, affineOf(match, layout) as Affine)
    },
  })
}

/** The linear node of a match, read out. */
interface Layout {
  readonly node: Node
  readonly spec: LinearOp
  readonly weight: Tensor
  readonly channels: number
  readonly bias: readonly number[]
  /** Rank of the result. */
  readonly rank: number
}

function layoutOf(match: Match): Layout | string {
  const node = match.nodes[1]
  const spec = node && linearOps[node.opType]
  const weight = constantValue(match.values['w'])
  if (node === undefined || spec === undefined || weight === undefined) return 'its weight is not a constant'
  const [output] = node.outputs
  if (output === undefined || output.uses.size !== 1 || output.isGraphOutput)
    return `the result of ${node.opType} has other readers`
  const channels = spec.channels(weight, node)
  const bias = readBias(node, channels)
  return typeof bias === 'string' ? bias : { node, spec, weight, channels, bias, rank: weight.dims.length }
}

function readBias(node: Node, channels: number): readonly number[] | string {
  const input = node.inputs[2]
  if (input === undefined) return Array.from({ length: channels }, () => 0)
  const tensor = constantValue(input)
  if (tensor === undefined) return 'its bias is not a constant'
  return perChannel(tensor, channels, 1) ?? perChannel(tensor, channels, 2) ?? 'its bias is not one number per channel'
}

/** A constant as one number per channel, when that is how it broadcasts over a result of `rank` (rank 1: channels only). */
function perChannel(tensor: Tensor, channels: number, rank: number): readonly number[] | undefined {
  const numbers = isFloat32(tensor) ? numbersOf(tensor) : undefined
  if (numbers === undefined || tensor.dims.length > rank) return undefined
  const [single] = numbers
  if (numbers.length === 1) return Array.from({ length: channels }, () => single as number)
  const padded = [...Array.from({ length: rank - tensor.dims.length }, () => 1), ...tensor.dims]
  const axis = rank === 1 ? 0 : 1
  const fits = padded.every((size, index) => size === (index === axis ? channels : 1))
  return fits ? numbers : undefined
}

function foldInto(build: Builder, layout: Layout, { scale, shift }: Affine): Value {
  const { node, spec, weight, bias } = layout
  const channelOf = spec.channelOf(weight, node)
  const folded = viewOf(weight, 'float32').map((value, index) => value * (scale[channelOf(index)] ?? 1))
  const factor = spec.biasFactor(node)
  const newBias = Float32Array.from(bias, (value, index) => factor * value * (scale[index] ?? 1) + (shift[index] ?? 0))
  const attributes = {
    ...Object.fromEntries(node.attributes),
    ...(node.opType === 'Gemm' ? { beta: attribute.float(1) } : {}),
  }
  const inputs = [
    node.inputs[0],
    build.constant(tensorOf('float32', weight.dims, folded), 'weight'),
    build.constant(tensorOf('float32', [newBias.length], newBias), 'bias'),
  ]
  return build.op(node.opType, inputs, attributes)
}

/** s = γ / √(σ² + ε), t = β − μ · s (Ioffe and Szegedy, 2015), in double precision. */
function batchNormAffine({ root, values }: Match): Affine | string {
  if (root.outputs.slice(1).some((output) => output.uses.size > 0 || output.isGraphOutput))
    return 'it gives its statistics'
  if (getInt(root, 'training_mode', 0) !== 0 || getInt(root, 'spatial', 1) !== 1)
    return 'it is not a plain inference BatchNormalization'
  const [gamma, beta, mean, variance] = ['gamma', 'beta', 'mean', 'variance'].map((name) =>
    numbersOf(constantValue(values[name]) as Tensor),
  )
  if (gamma === undefined || beta === undefined || mean === undefined || variance === undefined)
    return 'its parameters are not numbers'
  const epsilon = getFloat(root, 'epsilon', 1e-5)
  const scale = gamma.map((value, index) => value / Math.sqrt((variance[index] ?? 0) + epsilon))
  return { scale, shift: beta.map((value, index) => value - (mean[index] ?? 0) * (scale[index] ?? 0)) }
}

const parameter = (name: string) => constant(isFloat32, name)

type Arithmetic = (value: number) => { scale: number; shift: number }

const arithmetic: Readonly<Record<string, Arithmetic>> = {
  Mul: (value) => ({ scale: value, shift: 0 }),
  Div: (value) => ({ scale: 1 / value, shift: 0 }),
  Add: (value) => ({ scale: 1, shift: value }),
  Sub: (value) => ({ scale: 1, shift: -value }),
}

function arithmeticAffine({ root, values }: Match, layout: Layout): Affine | string {
  const numbers = perChannel(constantValue(values['c']) as Tensor, layout.channels, layout.rank)
  const apply = arithmetic[root.opType]
  if (numbers === undefined || apply === undefined) return 'its constant is not one number per channel'
  const pairs = numbers.map(apply)
  return { scale: pairs.map((pair) => pair.scale), shift: pairs.map((pair) => pair.shift) }
}

/** What follows a linear operator and is affine per channel goes into its weights. */
export const affineRules: readonly Rule[] = [
  foldRule(
    'fold-batch-norm',
    'BatchNormalization folded into the weights before it',
    (inner) => [
      opWhere('BatchNormalization', [
        inner,
        parameter('gamma'),
        parameter('beta'),
        parameter('mean'),
        parameter('variance'),
      ]),
    ],
    batchNormAffine,
  ),
  foldRule(
    'fold-arithmetic',
    'arithmetic with a constant folded into the weights before it',
    (inner) => Object.keys(arithmetic).map((opType) => op(opType, inner, parameter('c'))),
    arithmeticAffine,
  ),
]
