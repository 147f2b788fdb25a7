import { getFloat, getInt } from '../../ir/attribute.ts'
import type { Node, Value } from '../../ir/graph.ts'
import { elementCount, tensorOf } from '../../ir/tensor.ts'
import { floatConstant, scaleConstant } from './scale-weights.ts'

/** Constants to multiply along an axis so that a value is multiplied along its last one. */
interface Target {
  readonly node: Node
  readonly input: number
  readonly axis: number
}

/**
 * Multiplies a value along its last axis: in the norm, affine or product it comes from where its readers allow that, by
 * a Mul in front of those readers otherwise.
 * @returns whether no node had to be added
 */
export function multiplyValue(value: Value, readers: readonly Node[], factors: Float32Array<ArrayBuffer>): boolean {
  const isOnlyTheirs = !value.isGraphOutput && [...value.uses].every(({ node }) => readers.includes(node))
  const targets = isOnlyTheirs ? targetsOf(value, factors.length) : undefined
  if (targets !== undefined) {
    for (const { node, input, axis } of targets) scaleConstant(node, input, axis, factors)
    return true
  }
  const [first] = readers
  if (first?.graph === undefined) return false
  const { graph } = first
  const constant = graph.addInitializer(
    graph.freshName(`${value.name}_smoothing`),
    tensorOf('float32', [factors.length], factors),
  )
  const product = graph.insertBefore(first, { opType: 'Mul', inputs: [value, constant] })
  for (const reader of readers) reader.setInput(0, product.outputs[0])
  return false
}

/** The constants behind a value, or undefined when something in between does not let a factor through. */
function targetsOf(value: Value, channels: number): Target[] | undefined {
  const node = value.producer
  if (node === undefined || node.outputs[0] !== value) return undefined
  return finders[node.opType]?.(node, channels)
}

type Finder = (node: Node, channels: number) => Target[] | undefined

function through(node: Node, channels: number, input = 0): Target[] | undefined {
  const value = node.inputs[input]
  if (value === undefined || value.uses.size !== 1 || value.isGraphOutput) return undefined
  return targetsOf(value, channels)
}

const passes: Finder = (node, channels) => through(node, channels)

const finders: Readonly<Record<string, Finder>> = {
  Relu: passes,
  LeakyRelu: passes,
  Identity: passes,
  LayerNormalization: (node, channels) => {
    const scale = rowTarget(node, 1, channels)
    if (scale === undefined || node.outputs.length > 1) return undefined
    if (node.inputs[2] === undefined) return [scale]
    const shift = rowTarget(node, 2, channels)
    return shift && [scale, shift]
  },
  Mul: (node, channels) => {
    const target = rowTarget(node, 0, channels) ?? rowTarget(node, 1, channels)
    return target && [target]
  },
  Add: (node, channels) => {
    for (const [constant, other] of [
      [0, 1],
      [1, 0],
    ] as const) {
      const row = rowTarget(node, constant, channels)
      const rest = row && through(node, channels, other)
      if (row !== undefined && rest !== undefined) return [row, ...rest]
    }
    return undefined
  },
  MatMul: (node, channels) => {
    const weight = floatConstant(node, 1)
    return weight?.dims.length === 2 && weight.dims[1] === channels ? [{ node, input: 1, axis: 1 }] : undefined
  },
  Gemm: (node, channels) => {
    const axis = getInt(node, 'transB', 0) === 1 ? 0 : 1
    if (floatConstant(node, 1)?.dims[axis] !== channels || getFloat(node, 'beta', 1) !== 1) return undefined
    if (node.inputs[2] === undefined) return [{ node, input: 1, axis }]
    const bias = rowTarget(node, 2, channels)
    return bias && [{ node, input: 1, axis }, bias]
  },
}

/** A constant with one number for each channel on its last axis. */
function rowTarget(node: Node, input: number, channels: number): Target | undefined {
  const dims = floatConstant(node, input)?.dims
  if (dims === undefined || dims.at(-1) !== channels || elementCount(dims) !== channels) return undefined
  return { node, input, axis: dims.length - 1 }
}
