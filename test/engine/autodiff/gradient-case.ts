import { expect } from 'vitest'
import { differentiate } from '../../../src/engine/autodiff/index.ts'
import type { Value } from '../../../src/engine/ir/graph.ts'
import type { Model } from '../../../src/engine/ir/model.ts'
import { elementCount, tensorOf, viewOf, type Tensor } from '../../../src/engine/ir/tensor.ts'
import type { Dim } from '../../../src/engine/ir/value-type.ts'
import { opAttributes, verify, type PlainAttribute } from '../../../src/engine/ops/index.ts'
import { encodeModel } from '../../../src/engine/onnx/index.ts'
import type { Feeds, Session } from '../../../src/engine/runtime/port.ts'
import { decodedModel, type ModelSpec } from '../../support/models.ts'
import { noise, runtime } from '../passes/support.ts'

/** One example of an operator, small enough to be differentiated numerically by every element of its inputs. */
export interface GradientCase {
  /** What is special about it. */
  readonly name: string
  /** Dims of a float input that gets random values, a constant, or '' for one left out. */
  readonly inputs: readonly (readonly number[] | Tensor | '')[]
  readonly attributes?: Readonly<Record<string, PlainAttribute>>
  readonly opset?: number
  /** Outputs of the node, 1 by default. The integer ones take no part. */
  readonly outputs?: number
  /** How many of them the loss depends on, all by default. */
  readonly lossOutputs?: number
  /** Makes a random value of −1 to 1 one of the domain of an input; by default values near the kink at 0 are moved away. */
  readonly value?: (random: number, input: number) => number
  /** Inputs, by index, whose gradient is not asked for. */
  readonly without?: readonly number[]
  /** Nodes instead of the one of the operator: for rules that need others around. Inputs are x0, x1, …; the output is y0. */
  readonly nodes?: ModelSpec['nodes']
  /** What is differentiated numerically instead, where the rule is an estimator. */
  readonly surrogate?: ModelSpec['nodes']
  readonly dtype?: 'float32'
  /** The dims of the first input must be known, or those along these axes. */
  readonly needsDims?: true | readonly number[]
}

type FloatType = 'float32' | 'float64'

const awayFromKink = (random: number) => Math.sign(random) * (0.1 + 0.9 * Math.abs(random))

const inputNames = (one: GradientCase) =>
  one.inputs.flatMap((input, index) => (Array.isArray(input) && !one.without?.includes(index) ? [`x${index}`] : []))

/** The operator alone, with every float input an input of the model. */
function forwardModel(opType: string, one: GradientCase, dtype: FloatType, isOpen = false): Model {
  const names = one.inputs.map((input, index) => (input === '' ? '' : `x${index}`))
  const outputs = Array.from({ length: one.outputs ?? 1 }, (_, index) => `y${index}`)
  const inputs: Record<string, [FloatType, Dim[]]> = {}
  const initializers: Record<string, Tensor> = {}
  one.inputs.forEach((input, index) => {
    if (Array.isArray(input)) inputs[`x${index}`] = [dtype, isOpen && index === 0 ? openDims(one) : [...input]]
    else if (typeof input === 'object') initializers[`x${index}`] = asType(input as Tensor, dtype)
  })
  const model = decodedModel({
    opset: one.opset ?? 17,
    irVersion: 10,
    inputs,
    initializers,
    outputs: Object.fromEntries(outputs.map((output) => [output, [dtype]])),
    nodes: one.nodes ?? [[opType, names, outputs]],
  })
  for (const node of model.graph.nodes) {
    if (one.nodes !== undefined) continue
    for (const [name, value] of Object.entries(opAttributes(opType, one.attributes ?? {})))
      node.setAttribute(name, value)
  }
  return model
}

/** The dims of the first input, with only those known that must be. */
function openDims({ inputs, needsDims }: GradientCase): Dim[] {
  const axes = Array.isArray(needsDims) ? needsDims : []
  return (inputs[0] as readonly number[]).map((dim, axis) => (axes.includes(axis) ? dim : null))
}

/** Float constants of the dtype the case runs in. */
function asType(tensor: Tensor, dtype: FloatType): Tensor {
  if (tensor.dtype !== 'float32' || dtype === 'float32') return tensor
  return tensorOf('float64', tensor.dims, Float64Array.from(viewOf(tensor, 'float32')))
}

function feedsOf(one: GradientCase, dtype: FloatType): Record<string, Tensor> {
  const value = one.value ?? awayFromKink
  const feeds: Record<string, Tensor> = {}
  one.inputs.forEach((input, index) => {
    if (!Array.isArray(input)) return
    const dims = input as readonly number[]
    const values = Array.from({ length: elementCount(dims) }, (_, at) => value(noise(at, index + 1), index))
    feeds[`x${index}`] = floatTensor(dtype, dims, values)
  })
  return feeds
}

function floatTensor(dtype: FloatType, dims: readonly number[], values: readonly number[]): Tensor {
  return dtype === 'float32'
    ? tensorOf('float32', dims, Float32Array.from(values))
    : tensorOf('float64', dims, Float64Array.from(values))
}

const numbersOf = (tensor: Tensor | undefined): number[] => Array.from(viewOf(tensor as Tensor), Number)

async function openSession(model: Model): Promise<Session> {
  return runtime.createSession({ bytes: encodeModel(model) }, { session: { optimizationLevel: 'disabled' } })
}

const isFloatOutput = (tensor: Tensor | undefined) => tensor?.dtype === 'float32' || tensor?.dtype === 'float64'

/** Σ over all float outputs of output · a fixed random cotangent. */
function scalarize(outputs: Readonly<Record<string, Tensor>>): number {
  return Object.entries(outputs)
    .filter(([, tensor]) => isFloatOutput(tensor))
    .reduce((sum, [name, tensor]) => sum + dot(numbersOf(tensor), cotangentOf(name)), 0)
}

const dot = (values: readonly number[], at: (index: number) => number) =>
  values.reduce((sum, value, index) => sum + value * at(index), 0)
const cotangentOf = (output: string) => (index: number) => noise(index, 50 + Number(output.slice(1)))

function lossOutputs(one: GradientCase, outputs: Readonly<Record<string, Tensor>>): Record<string, Tensor> {
  const names = Object.keys(outputs).slice(0, one.lossOutputs)
  return Object.fromEntries(names.map((name) => [name, outputs[name] as Tensor]))
}

/** Central differences by every element of every wanted input. */
async function numericGradients(session: Session, one: GradientCase, feeds: Feeds, step: number) {
  const names = inputNames(one)
  const gradients: Record<string, number[]> = {}
  for (const name of names) {
    const tensor = feeds[name] as Tensor
    const values = numbersOf(tensor)
    const at = async (index: number, by: number) => {
      const moved = values.map((value, place) => (place === index ? value + by : value))
      const changed = { ...feeds, [name]: floatTensor(tensor.dtype as FloatType, tensor.dims, moved) }
      return scalarize(lossOutputs(one, await session.run(changed)))
    }
    gradients[name] = []
    for (const index of values.keys()) {
      gradients[name].push(((await at(index, step)) - (await at(index, -step))) / (2 * step))
    }
  }
  return gradients
}

/** Appends loss and gradients to a model; the gradients become its outputs. */
function gradientModel(model: Model, shapes: Readonly<Record<string, Tensor>>, names: readonly string[]): Model {
  const { graph } = model
  const floats = graph.outputs.filter(({ name }) => isFloatOutput(shapes[name]))
  const parts = floats.map((output) => {
    const { dims, dtype } = shapes[output.name] as Tensor
    const values = Array.from({ length: elementCount(dims) }, (_, index) => cotangentOf(output.name)(index))
    const cotangent = graph.addInitializer(`v_${output.name}`, floatTensor(dtype as FloatType, dims, values))
    const product = graph.addNode({ opType: 'Mul', inputs: [output, cotangent] }).outputs[0] as Value
    return graph.addNode({
      opType: 'ReduceSum',
      inputs: [product],
      attributes: opAttributes('ReduceSum', { keepdims: 0 }),
    }).outputs[0] as Value
  })
  const loss = graph.addNode({ opType: 'Sum', inputs: parts, outputs: ['loss'] }).outputs[0] as Value
  const gradients = differentiate(model, { loss: loss.name, wanted: names })
  for (const output of graph.outputs.slice()) graph.removeOutput(output)
  const values = new Map([...graph.nodes].flatMap((node) => node.outputs.map((value) => [value.name, value] as const)))
  for (const name of names) {
    // One gradient may stand for two values.
    const found =
      values.get(gradients.get(name) as string) ?? [...graph.initializers].find((v) => v.name === gradients.get(name))
    const node = graph.addNode({ opType: 'Identity', inputs: [found], outputs: [`d_${name}`] })
    const [output] = node.outputs as [Value]
    output.type = found?.type
    graph.addOutput(output)
  }
  expect(verify(model)).toEqual([])
  return model
}

interface Precision {
  readonly dtype: FloatType
  readonly step: number
  readonly tolerance: number
}

// Where the runtime has no float64 kernel, rounding asks for a larger step, and so for more tolerance.
const double: Precision = { dtype: 'float64', step: 1e-5, tolerance: 1e-6 }
const single: Precision = { dtype: 'float32', step: 5e-3, tolerance: 4e-3 }

/**
 * Compares the gradients of one case with central differences, with known dims and, where the rule doesn't need them, with those
 * of the first input left open.
 */
export async function checkGradients(opType: string, one: GradientCase): Promise<FloatType> {
  if (one.dtype === undefined) {
    try {
      await checkIn(double, opType, one)
      return 'float64'
    } catch (error) {
      if (!isMissingKernel(error)) throw error
    }
  }
  await checkIn(single, opType, one)
  return 'float32'
}

function isMissingKernel(error: unknown): boolean {
  const text = String(error)
  return (
    text.includes('Could not find an implementation') || text.includes('Type Error') || text.includes('support double')
  )
}

async function checkIn({ dtype, step, tolerance }: Precision, opType: string, one: GradientCase): Promise<void> {
  const feeds = feedsOf(one, dtype)
  const surrogate = one.surrogate === undefined ? one : { ...one, nodes: one.surrogate }
  const forward = await openSession(forwardModel(opType, surrogate, dtype))
  const outputs = lossOutputs(one, await forward.run(feeds))
  const expected = await numericGradients(forward, one, feeds, step)
  await forward.release()
  for (const isOpen of one.needsDims === true ? [false] : [false, true]) {
    const model = gradientModel(forwardModel(opType, one, dtype, isOpen), outputs, inputNames(one))
    const backward = await openSession(model)
    const actual = await backward.run(feeds)
    await backward.release()
    for (const [name, gradient] of Object.entries(expected)) {
      const what = `d_${name}${isOpen ? ' with open dims' : ''}`
      expect(actual[`d_${name}`]?.dims, `dims of ${what}`).toEqual(feeds[name]?.dims)
      expectClose(numbersOf(actual[`d_${name}`]), gradient, tolerance, what)
    }
  }
}

function expectClose(actual: readonly number[], expected: readonly number[], tolerance: number, what: string) {
  const scale = Math.max(1, ...expected.map(Math.abs))
  const worst = Math.max(...expected.map((value, index) => Math.abs(value - (actual[index] ?? Number.NaN))))
  expect(
    Number.isNaN(worst) || worst > tolerance * scale,
    `${what}: ${actual.join(' ')} is not ${expected.join(' ')}`,
  ).toBe(false)
}
