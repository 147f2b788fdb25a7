import { attribute, getAttribute, getFloat, getInt, getInts, getString, type Attribute } from '../../ir/attribute.ts'
import type { Graph, Node, Value } from '../../ir/graph.ts'
import { tensorOf, viewOf } from '../../ir/tensor.ts'
import type { Dim } from '../../ir/value-type.ts'
import { constantValue } from '../../ops/index.ts'
import { numbersOf } from '../constants.ts'

interface AdapterTools {
  readonly graph: Graph
  /** Dims of a value, when its rank is known. */
  readonly dimsOf: (value: Value | undefined) => readonly Dim[] | undefined
}

/** Makes a node mean in one version what it meant in the one before. Gives a reason when it can't. */
type Adapter = (node: Node, tools: AdapterTools) => string | undefined

function constantInts(graph: Graph, hint: string, values: readonly number[]): Value {
  const data = BigInt64Array.from(values, BigInt)
  return graph.addInitializer(graph.freshName(hint), tensorOf('int64', [values.length], data))
}

function constantFloat(graph: Graph, hint: string, value: number): Value {
  return graph.addInitializer(graph.freshName(hint), tensorOf('float32', [], Float32Array.of(value)))
}

/** An attribute with a list of integers becomes an input. */
function intsToInput(name: string, index: number): Adapter {
  return (node, { graph }) => {
    const values = getInts(node, name)
    if (values === undefined) return undefined
    node.setInput(index, constantInts(graph, `${node.name}/${name}`, values))
    node.removeAttribute(name)
    return undefined
  }
}

/** Only float32 inputs are certain to fit the float32 bounds; before opset 11 Clip took floats only. */
const adaptClip: Adapter = (node, { graph }) => {
  const dtype = node.inputs[0]?.type?.dtype ?? 'float32'
  if (dtype !== 'float32') return `its input is ${dtype}, and its bounds are written for float32`
  for (const [index, name] of (['min', 'max'] as const).entries()) {
    const bound = getFloat(node, name)
    if (bound === undefined) continue
    node.setInput(index + 1, constantFloat(graph, `${node.name}/${name}`, bound))
    node.removeAttribute(name)
  }
  return undefined
}

const adaptSlice: Adapter = (node, { graph }) => {
  const [starts, ends, axes] = ['starts', 'ends', 'axes'].map((name) => getAttribute(node, name, 'ints'))
  if (starts === undefined || ends === undefined) return 'it has neither the old nor the new form'
  // Ends may be INT64_MAX, which a double can't hold.
  for (const [index, values] of [starts, ends, axes].entries()) {
    if (values === undefined) continue
    const data = BigInt64Array.from(values)
    node.setInput(
      index + 1,
      graph.addInitializer(graph.freshName(`${node.name}/slice`), tensorOf('int64', [data.length], data)),
    )
  }
  for (const name of ['starts', 'ends', 'axes']) node.removeAttribute(name)
  return undefined
}

const adaptPad: Adapter = (node, { graph }) => {
  const pads = getInts(node, 'pads')
  if (pads === undefined) return 'it has no pads'
  const fill = getFloat(node, 'value', 0)
  node.setInput(1, constantInts(graph, `${node.name}/pads`, pads))
  if (fill !== 0) node.setInput(2, constantFloat(graph, `${node.name}/value`, fill))
  node.removeAttribute('pads')
  node.removeAttribute('value')
  return undefined
}

const adaptTopK: Adapter = (node, { graph }) => {
  node.setInput(1, constantInts(graph, `${node.name}/k`, [getInt(node, 'k', 1)]))
  node.removeAttribute('k')
  return undefined
}

const adaptDropout: Adapter = (node) => {
  node.removeAttribute('ratio')
  return undefined
}

function replaceNode(
  node: Node,
  graph: Graph,
  opType: string,
  inputs: (Value | undefined)[],
  attributes: Record<string, Attribute>,
): void {
  const [output] = node.outputs
  const copy = graph.insertBefore(node, { opType, inputs, attributes })
  const [result] = copy.outputs
  if (output === undefined || result === undefined) return
  result.type = output.type
  graph.replaceAllUses(output, result)
  graph.removeNode(node)
}

/** Upsample, and Resize before opset 11, sampled asymmetrically; nearest took the lower neighbour. */
function toResize(readScales: (node: Node, tools: AdapterTools) => Value | undefined): Adapter {
  return (node, tools) => {
    const scales = readScales(node, tools)
    const mode = getString(node, 'mode', 'nearest')
    const factors = constantValue(scales)
    const shrinks = factors === undefined || (numbersOf(factors) ?? []).some((factor) => factor < 1)
    if (mode === 'nearest' && shrinks) return 'how it rounds when it shrinks changed between opsets'
    replaceNode(node, tools.graph, 'Resize', [node.inputs[0], undefined, scales], {
      mode: attribute.string(mode === 'bilinear' ? 'linear' : mode),
      coordinate_transformation_mode: attribute.string('asymmetric'),
      nearest_mode: attribute.string('floor'),
    })
    return undefined
  }
}

const scalesToInput: Adapter = (node, { graph }) => {
  const scales = getAttribute(node, 'scales', 'floats')
  if (scales === undefined) return 'it has no scales'
  const tensor = tensorOf('float32', [scales.length], Float32Array.from(scales))
  node.setInput(1, graph.addInitializer(graph.freshName(`${node.name}/scales`), tensor))
  node.removeAttribute('scales')
  return undefined
}

/**
 * Before opset 13 the input was flattened to two axes at `axis` and the softmax ran over the second; since then it
 * runs over `axis` alone. The same when `axis` is the last; else flatten, run, and restore the shape.
 */
const adaptSoftmax: Adapter = (node, { graph, dimsOf }) => {
  const axis = getInt(node, 'axis', 1)
  const rank = (dimsOf(node.inputs[0]) ?? dimsOf(node.outputs[0]))?.length
  node.setAttribute('axis', attribute.int(-1))
  if (axis === -1 || (rank !== undefined && axis === rank - 1)) return undefined
  const [input] = node.inputs
  const [output] = node.outputs
  if (input === undefined || output === undefined) return 'it has no input'
  const shape = graph.insertBefore(node, { opType: 'Shape', inputs: [input] }).outputs[0]
  const flat = graph.insertBefore(node, {
    opType: 'Flatten',
    inputs: [input],
    attributes: { axis: attribute.int(axis) },
  })
  const soft = graph.insertBefore(node, {
    opType: node.opType,
    inputs: [flat.outputs[0]],
    attributes: { axis: attribute.int(-1) },
  })
  replaceNode(node, graph, 'Reshape', [soft.outputs[0], shape], {})
  return undefined
}

/** BatchNormalization with `spatial` = 0 had statistics per element. */
const adaptBatchNorm: Adapter = (node) => {
  if (getInt(node, 'spatial', 1) === 0) return 'it normalizes each element by itself'
  node.removeAttribute('spatial')
  return undefined
}

/** Scale and bias were one number per group; since opset 21 they are one per channel. */
const adaptGroupNorm: Adapter = (node, { graph, dimsOf }) => {
  const groups = getInt(node, 'num_groups', 1)
  const channels = dimsOf(node.inputs[0])?.[1]
  const given = [1, 2].map((index) => constantValue(node.inputs[index]))
  if (typeof channels !== 'number') return 'how many channels it has is not known'
  for (const [at, tensor] of given.entries()) {
    if (tensor?.dtype !== 'float32' || tensor.dims[0] !== groups)
      return 'its scale and bias are not one constant per group'
    const numbers = viewOf(tensor, 'float32')
    const repeated = Float32Array.from({ length: channels }, (_, channel) => {
      return numbers[Math.floor((channel * groups) / channels)] as number
    })
    const name = graph.freshName(`${node.name}/${at === 0 ? 'scale' : 'bias'}`)
    node.setInput(at + 1, graph.addInitializer(name, tensorOf('float32', [channels], repeated)))
  }
  return undefined
}

/** Before opset 10 the mask was of the dtype of the data. */
const declineMask: Adapter = (node) =>
  node.outputs.slice(1).some((mask) => mask.uses.size > 0 || mask.isGraphOutput) ? 'its mask is read' : undefined

/** A way to place pixels that only opset 11 has. */
const declineOldPixels: Adapter = (node) => {
  const coordinates = getString(node, 'coordinate_transformation_mode', 'half_pixel')
  return coordinates === 'tf_half_pixel_for_nn' ? 'it places pixels by tf_half_pixel_for_nn' : undefined
}

const decline =
  (reason: string): Adapter =>
  () =>
    reason

/** Reductions whose axes became an input with opset 18; ReduceSum's had before. */
const reductions = ['L1', 'L2', 'LogSum', 'LogSumExp', 'Max', 'Mean', 'Min', 'Prod', 'SumSquare'].map(
  (kind) => `Reduce${kind}`,
)

function renameTo(opType: string): Adapter {
  return (node, { graph }) => {
    replaceNode(node, graph, opType, [...node.inputs], Object.fromEntries(node.attributes))
    return undefined
  }
}

/** Writes down a default that changed. */
function setDefault(name: string, value: Attribute): Adapter {
  return (node) => {
    if (!node.attributes.has(name)) node.setAttribute(name, value)
    return undefined
  }
}

/** Until opset 14 further outputs meant training. */
const declineTraining: Adapter = (node) =>
  node.outputs.slice(1).some((output) => output.uses.size > 0 || output.isGraphOutput)
    ? 'it gives its statistics'
    : undefined

/** Equal parts have to be counted since opset 18, and the last may be smaller. */
const nameParts: Adapter = (node) => {
  if (node.inputs[1] === undefined) node.setAttribute('num_outputs', attribute.int(node.outputs.length))
  return undefined
}

const axisToInput: Adapter = (node, { graph }) => {
  const data = BigInt64Array.of(BigInt(getInt(node, 'axis', 1)))
  node.setInput(2, graph.addInitializer(graph.freshName(`${node.name}/axis`), tensorOf('int64', [], data)))
  node.removeAttribute('axis')
  return undefined
}

const gridModes: Readonly<Record<string, string>> = { bilinear: 'linear', bicubic: 'cubic' }

const renameModes: Adapter = (node) => {
  const mode = getString(node, 'mode', 'bilinear')
  node.setAttribute('mode', attribute.string(gridModes[mode] ?? mode))
  return undefined
}

/** What ONNX Runtime 1.30 can't run on CPUs in opset 22, though it means the same. */
const withoutKernel = [
  'Bernoulli',
  'GlobalLpPool',
  'MaxRoiPool',
  'Multinomial',
  'RandomNormal',
  'RandomNormalLike',
  'RandomUniform',
  'RandomUniformLike',
  'RoiAlign',
]

/** What changed incompatibly, by the version it changed in. Every other operator reads the same in both versions. */
export const adapters: Readonly<Record<number, Readonly<Record<string, Adapter>>>> = {
  8: {},
  9: { BatchNormalization: adaptBatchNorm, Upsample: scalesToInput, Scan: decline('Scan changed its layout') },
  10: { Dropout: declineMask, Slice: adaptSlice, TopK: adaptTopK, Upsample: toResize((node) => node.inputs[1]) },
  11: { Clip: adaptClip, Pad: adaptPad, Resize: adaptResize, Scatter: renameTo('ScatterElements') },
  12: { Dropout: adaptDropout },
  13: {
    Squeeze: intsToInput('axes', 1),
    Unsqueeze: intsToInput('axes', 1),
    ReduceSum: intsToInput('axes', 1),
    Split: intsToInput('split', 1),
    Softmax: adaptSoftmax,
    LogSoftmax: adaptSoftmax,
    Hardmax: adaptSoftmax,
    Resize: declineOldPixels,
  },
  14: { BatchNormalization: declineTraining },
  16: { RoiAlign: setDefault('coordinate_transformation_mode', attribute.string('output_half_pixel')) },
  18: {
    ...Object.fromEntries(reductions.map((opType) => [opType, intsToInput('axes', 1)])),
    Split: nameParts,
  },
  20: { DFT: axisToInput, GridSample: renameModes },
  21: { GroupNormalization: adaptGroupNorm },
  22: Object.fromEntries(withoutKernel.map((opType) => [opType, decline('ONNX Runtime has no kernel for it yet')])),
}

/** A Resize made of an Upsample has the new form already. */
function adaptResize(node: Node, tools: AdapterTools): string | undefined {
  if (node.attributes.has('coordinate_transformation_mode')) return undefined
  return toResize((each) => each.inputs[1])(node, tools)
}
