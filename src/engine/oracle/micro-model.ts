import { createRandom, type Random } from '../data/random.ts'
import { attribute, type Attribute } from '../ir/attribute.ts'
import type { Graph, Value } from '../ir/graph.ts'
import { createModel, importOpset, type Model } from '../ir/model.ts'
import { tensorOf, type Tensor } from '../ir/tensor.ts'
import { encodeModel } from '../onnx/index.ts'
import type { Feeds } from '../runtime/port.ts'
import { seenByRuntime, type ConvKernel, type KernelForm, type MatrixKernel, type Timed } from './kernel.ts'

/** A model that computes one kernel several times, and inputs for it. */
export interface MicroModel {
  readonly bytes: Uint8Array
  readonly feeds: Feeds
}

const scale = 0.05
const zeroPoint = 128
const blockSize = 32

/**
 * The kernel `copies` times on one input, each with weights of its own, so that the runtime can't merge them.
 * @returns undefined for a form that the kernel does not have
 */
export function buildMicroModel(kernel: Timed, form: KernelForm, copies: number): MicroModel | undefined {
  const model = createModel()
  const random = createRandom(copies)
  const data = inputOf(kernel, form, random)
  const { dims } = data
  const input = model.graph.addInput('x', { dtype: data.dtype, dims })
  const build: Build = { model, graph: model.graph, random }
  for (let copy = 0; copy < copies; copy += 1) {
    const output = buildKernel(build, kernel, form, input)
    if (output === undefined) return undefined
    model.graph.addOutput(output)
  }
  return { bytes: encodeModel(model), feeds: { x: data } }
}

function inputOf(kernel: Timed, form: KernelForm, random: Random): Tensor {
  if (kernel.op === 'Boundary') {
    return form === 'dequantize'
      ? randomBytes([kernel.elements], 'uint8', random)
      : randomFloats([kernel.elements], random)
  }
  if (kernel.op === 'MatMul') return randomFloats([kernel.rows, kernel.inner], random)
  const { input } = seenByRuntime(kernel)
  return form.startsWith('qdq') ? randomBytes(input, activationType(form), random) : randomFloats(input, random)
}

function buildKernel(build: Build, kernel: Timed, form: KernelForm, input: Value): Value | undefined {
  if (kernel.op === 'Boundary') return buildBoundary(build, form, input)
  return kernel.op === 'Conv' ? buildConv(build, kernel, form, input) : buildMatrix(build, kernel, form, input)
}

/** Each with a scale of its own, so that the runtime can't merge them. */
function buildBoundary(build: Build, form: KernelForm, input: Value): Value | undefined {
  if (form !== 'quantize' && form !== 'dequantize') return undefined
  const own = constant(build, tensorOf('float32', [], Float32Array.of(scale * (1 + build.random()))))
  return addOp(build, form === 'quantize' ? 'QuantizeLinear' : 'DequantizeLinear', [input, own, zeroOf(build, 'uint8')])
}

/** A model that takes the same input and computes nothing of it: what a run costs by itself. */
export function buildIdleModel({ feeds }: MicroModel): MicroModel {
  const model = createModel()
  const { x } = feeds as { x: Tensor }
  const input = model.graph.addInput('x', { dtype: x.dtype, dims: x.dims })
  model.graph.addOutput(addOp({ model, graph: model.graph }, 'Shape', [input]))
  return { bytes: encodeModel(model), feeds }
}

interface Build {
  readonly model: Model
  readonly graph: Graph
  readonly random: Random
}

type WeightType = 'int8' | 'uint8'

const weightTypes: Partial<Record<KernelForm, WeightType>> = {
  'qdq-u8s8': 'int8',
  'qdq-u8u8': 'uint8',
  'qdq-s8s8': 'int8',
  dynamic: 'int8',
}

/** Type of quantized activations. */
function activationType(form: KernelForm): WeightType {
  return form === 'qdq-s8s8' ? 'int8' : 'uint8'
}

function buildConv(build: Build, kernel: ConvKernel, form: KernelForm, input: Value): Value | undefined {
  const { strides, pads, dilations, weight } = seenByRuntime(kernel)
  const attributes = {
    strides: attribute.ints(strides),
    pads: attribute.ints(pads),
    dilations: attribute.ints(dilations),
    group: attribute.int(kernel.group),
    kernel_shape: attribute.ints(weight.slice(2)),
  }
  const type = weightTypes[form]
  if (form === 'fp32')
    return pick(
      build,
      kernel,
      addOp(build, 'Conv', [input, constant(build, randomFloats(weight, build.random))], attributes),
    )
  if (type === undefined) return undefined
  if (form === 'dynamic') {
    const [data, , zero] = quantizeAtRunTime(build, input)
    return pick(
      build,
      kernel,
      castToFloat(
        build,
        addOp(build, 'ConvInteger', [data, constant(build, randomBytes(weight, type, build.random)), zero], attributes),
      ),
    )
  }
  const activations = activationType(form)
  const data = dequantize(build, input, activations)
  const result = addOp(build, 'Conv', [data, quantizedWeight(build, weight, type)], attributes)
  return pick(build, kernel, quantize(build, result, activations))
}

/**
 * One number of each channel, by a pool that reads no more: so the runtime keeps the layout that its kernel likes, as it
 * does inside a network, and no conversion back is timed.
 */
function pick(build: Build, kernel: ConvKernel, value: Value): Value {
  const { output } = seenByRuntime(kernel)
  const attributes = { kernel_shape: attribute.ints(output.map(() => 1)), strides: attribute.ints(output) }
  return addOp(build, 'MaxPool', [value], attributes)
}

function buildMatrix(build: Build, kernel: MatrixKernel, form: KernelForm, input: Value): Value | undefined {
  const { inner, columns } = kernel
  const dims = [inner, columns]
  const type = weightTypes[form]
  if (form === 'fp32') return addOp(build, 'MatMul', [input, constant(build, randomFloats(dims, build.random))])
  if (type === undefined) return buildBlocks(build, kernel, form, input)
  if (form !== 'dynamic') {
    const activations = activationType(form)
    const data = dequantize(build, quantize(build, input, activations), activations)
    return addOp(build, 'MatMul', [data, quantizedWeight(build, dims, type)])
  }
  const [data, inputScale, zero] = quantizeAtRunTime(build, input)
  const weight = constant(build, randomBytes(dims, type, build.random))
  const weightZero = constant(build, tensorOf('int8', [], Int8Array.of(0)))
  const product = castToFloat(build, addOp(build, 'MatMulInteger', [data, weight, zero, weightZero]))
  const factor = addOp(build, 'Mul', [inputScale, constant(build, tensorOf('float32', [], Float32Array.of(scale)))])
  return addOp(build, 'Mul', [product, factor])
}

const blockForm = /^nbits([48])-a([04])$/

function buildBlocks(
  build: Build,
  { inner, columns }: MatrixKernel,
  form: KernelForm,
  input: Value,
): Value | undefined {
  const [, bits, level] = blockForm.exec(form) ?? []
  if (bits === undefined || level === undefined || inner % blockSize !== 0) return undefined
  const blocks = inner / blockSize
  importOpset(build.model, 'com.microsoft', 1)
  const packed = randomBytes([columns, blocks, (blockSize * Number(bits)) / 8], 'uint8', build.random)
  const scales = tensorOf('float32', [columns * blocks], new Float32Array(columns * blocks).fill(scale))
  const attributes = {
    K: attribute.int(inner),
    N: attribute.int(columns),
    bits: attribute.int(Number(bits)),
    block_size: attribute.int(blockSize),
    accuracy_level: attribute.int(Number(level)),
  }
  return addOp(
    build,
    'MatMulNBits',
    [input, constant(build, packed), constant(build, scales)],
    attributes,
    'com.microsoft',
  )
}

function addOp(
  { graph }: Pick<Build, 'model' | 'graph'>,
  opType: string,
  inputs: Value[],
  attributes: Record<string, Attribute> = {},
  domain = '',
): Value {
  return graph.addNode({ opType, domain, name: graph.freshName(opType), inputs, attributes }).outputs[0] as Value
}

function constant({ graph }: Build, tensor: Tensor): Value {
  return graph.addInitializer(graph.freshName('constant'), tensor)
}

function quantizeAtRunTime({ graph }: Build, input: Value): readonly [Value, Value, Value] {
  const node = graph.addNode({ opType: 'DynamicQuantizeLinear', inputs: [input], outputs: 3 })
  return node.outputs as unknown as readonly [Value, Value, Value]
}

function castToFloat(build: Build, value: Value): Value {
  return addOp(build, 'Cast', [value], { to: attribute.int(1) })
}

const scaleOf = (build: Build) => constant(build, tensorOf('float32', [], Float32Array.of(scale)))

function zeroOf(build: Build, type: WeightType): Value {
  const zero =
    type === 'uint8' ? tensorOf('uint8', [], Uint8Array.of(zeroPoint)) : tensorOf('int8', [], Int8Array.of(0))
  return constant(build, zero)
}

function quantize(build: Build, value: Value, type: WeightType): Value {
  return addOp(build, 'QuantizeLinear', [value, scaleOf(build), zeroOf(build, type)])
}

function dequantize(build: Build, value: Value, type: WeightType): Value {
  return addOp(build, 'DequantizeLinear', [value, scaleOf(build), zeroOf(build, type)])
}

function quantizedWeight(build: Build, dims: readonly number[], type: WeightType): Value {
  const data = constant(build, randomBytes(dims, type, build.random))
  return dequantize(build, data, type)
}

function randomFloats(dims: readonly number[], random: Random): Tensor {
  return tensorOf(
    'float32',
    dims,
    tile(new Float32Array(countOf(dims)), () => random() - 0.5),
  )
}

function randomBytes(dims: readonly number[], type: WeightType, random: Random): Tensor {
  const count = countOf(dims)
  if (type === 'uint8')
    return tensorOf(
      'uint8',
      dims,
      tile(new Uint8Array(count), () => random() * 128),
    )
  return tensorOf(
    'int8',
    dims,
    tile(new Int8Array(count), () => random() * 128 - 64),
  )
}

const tileLength = 4099

/** Random numbers over and over, so that large tensors are quick to make. */
function tile<T extends Float32Array<ArrayBuffer> | Uint8Array<ArrayBuffer> | Int8Array<ArrayBuffer>>(
  values: T,
  draw: () => number,
): T {
  const numbers = Array.from({ length: Math.min(tileLength, values.length) }, draw)
  for (let start = 0; start < values.length; start += numbers.length) {
    values.set(numbers.slice(0, values.length - start), start)
  }
  return values
}

function countOf(dims: readonly number[]): number {
  return dims.reduce((product, dim) => product * dim, 1)
}
