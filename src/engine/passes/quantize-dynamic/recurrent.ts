import { quantizeWeight } from '../../calibrate/quantize-weight.ts'
import { getInt } from '../../ir/attribute.ts'
import type { Graph, Node, Value } from '../../ir/graph.ts'
import { elementCount, tensorOf, type Tensor } from '../../ir/tensor.ts'
import { constantValue } from '../../ops/index.ts'
import { floatsOf } from '../compare-tensors.ts'
import type { Emit } from './emit.ts'
import { transpose, type WeightForm } from './products.ts'

/** An LSTM with constant weights [directions, 4 · hidden, inputs]. */
export interface Recurrent {
  readonly input: Tensor
  readonly recurrent: Tensor
}

export function readLstm(node: Node): Recurrent | string {
  const [input, recurrent] = [constantValue(node.inputs[1]), constantValue(node.inputs[2])]
  if (input === undefined || recurrent === undefined) return 'its weights are not constant'
  if (getInt(node, 'layout', 0) !== 0) return 'the int8 LSTM of the runtime has no batch-first layout'
  for (const weight of [input, recurrent]) {
    if (weight.dims.length !== 3) return `its weight has ${weight.dims.length} axes, not 3`
    const values = weight.dtype === 'float32' ? floatsOf(weight) : undefined
    if (values === undefined) return `its weight is ${weight.dtype}`
    if (!values.every(Number.isFinite)) return 'its weight is not finite'
  }
  return { input, recurrent }
}

export function recurrentElements({ input, recurrent }: Recurrent): number {
  return elementCount(input.dims) + elementCount(recurrent.dims)
}

/** Replaces an LSTM by the runtime's own: int8 weights transposed to [directions, inputs, 4 · hidden]. */
export function convertLstm(graph: Graph, node: Node, weights: Recurrent, form: WeightForm, { shared }: Emit): void {
  const write = (source: Tensor) => shared(source, 'lstm', () => quantizeGates(source, form))
  const [input, inputScale, inputZero] = write(weights.input)
  const [recurrent, recurrentScale, recurrentZero] = write(weights.recurrent)
  const [x, , , ...rest] = node.inputs
  const inputs: (Value | undefined)[] = [x, input, recurrent, ...rest]
  while (inputs.length < scalesFrom) inputs.push(undefined)
  inputs.push(inputScale, inputZero, recurrentScale, recurrentZero)
  const attributes = Object.fromEntries([...node.attributes].filter(([name]) => name !== 'layout'))
  const name = graph.freshName(`${node.name}/DynamicQuantizeLSTM`)
  const outputs = node.outputs.map((output) => (output.name === '' ? '' : graph.freshName(`${output.name}_int8`)))
  const made = graph.insertBefore(node, {
    opType: 'DynamicQuantizeLSTM',
    domain: 'com.microsoft',
    name,
    inputs,
    outputs,
    attributes,
  })
  for (const [index, output] of node.outputs.entries()) {
    const replacement = made.outputs[index]
    if (replacement === undefined || output.name === '') continue
    replacement.type = output.type
    graph.replaceAllUses(output, replacement)
  }
  graph.removeNode(node)
}

/** Where the scales begin: after X, W, R, B, sequence_lens, initial_h, initial_c and P. */
const scalesFrom = 8

/** A scale per gate output and direction, or one per direction. */
function quantizeGates(weight: Tensor, { perChannel, reduceRange }: WeightForm): readonly Tensor[] {
  const [directions = 0, gates = 0, depth = 0] = weight.dims
  const values = floatsOf(weight) as Float32Array
  const integers = new Int8Array(values.length)
  const scales: number[] = []
  for (let direction = 0; direction < directions; direction += 1) {
    const start = direction * gates * depth
    const matrix = transpose(values.subarray(start, start + gates * depth), gates, depth)
    const quantized = quantizeWeight(matrix, [depth, gates], { axis: perChannel ? 1 : undefined, reduceRange })
    const { bytes } = quantized.tensor
    integers.set(new Int8Array(bytes.buffer, bytes.byteOffset, bytes.length), start)
    scales.push(...quantized.scales)
  }
  const dims = perChannel ? [directions, gates] : [directions]
  return [
    tensorOf('int8', [directions, depth, gates], integers),
    tensorOf('float32', dims, Float32Array.from(scales)),
    tensorOf('int8', dims, new Int8Array(scales.length)),
  ]
}
