import { HastenError } from '../../errors.ts'
import type { Graph, Node, Use, Value } from '../ir/graph.ts'
import { valuesRead } from '../ir/order.ts'
import { elementCount, type NumericTensor } from '../ir/tensor.ts'
import { matchesGlob } from './glob.ts'

/** One trained tensor, and where it lies in the vector of all of them. */
export interface Parameter {
  readonly name: string
  readonly dims: readonly number[]
  /** In elements. */
  readonly offset: number
  readonly count: number
}

/** The input slots that weights of these operators are read at: those a gradient by the weight makes sense for. */
const weightInputs: Readonly<Record<string, readonly number[]>> = {
  Conv: [1, 2],
  ConvTranspose: [1, 2],
  Gemm: [0, 1, 2],
  MatMul: [0, 1],
  Einsum: [0, 1],
  // Means and variances, inputs 3 and 4, are statistics: frozen.
  BatchNormalization: [1, 2],
  InstanceNormalization: [1, 2],
  GroupNormalization: [1, 2],
  LayerNormalization: [1, 2],
  RMSNormalization: [1],
  PRelu: [1],
  Gather: [0],
  LSTM: [1, 2, 3],
  GRU: [1, 2, 3],
  RNN: [1, 2, 3],
}

/** Biases and scales that exporters write as operators of their own; a scalar there is a constant of the formula. */
const elementwise = new Set(['Add', 'Sub', 'Mul', 'Div'])

/** A weight behind these is still a weight. */
const forwarding = new Set([
  'Identity',
  'Transpose',
  'Reshape',
  'Squeeze',
  'Unsqueeze',
  'QuantizeLinear',
  'DequantizeLinear',
])

export interface ParameterSelection {
  /** Globs over initializer names, such as `conv1.*`; everything trainable when absent. */
  readonly include?: readonly string[]
  readonly exclude?: readonly string[]
}

/**
 * The initializers to train: float32, read as weights on the way to the loss, and selected. BatchNormalization's
 * statistics, scalars of formulas and constants of other operators are not among them, unless `include` names one exactly.
 * @throws HastenError `not_differentiable` when none is left, or a pattern matches no weight
 */
export function selectParameters(graph: Graph, loss: Value, selection: ParameterSelection = {}): Parameter[] {
  const reached = valuesBefore(loss)
  const { include = ['*'], exclude = [] } = selection
  const weights = [...graph.initializers].filter(
    (value) => reached.has(value) && value.initializer?.dtype === 'float32',
  )
  const isNamed = (value: Value) => include.includes(value.name)
  const trainable = weights.filter((value) => isNamed(value) || [...value.uses].some(isWeightUse))
  const unmatched = include.filter((pattern) => !trainable.some(({ name }) => matchesGlob(name, pattern)))
  if (unmatched.length > 0) throw noParameters(unmatched, trainable)
  const chosen = trainable.filter(
    ({ name }) =>
      include.some((pattern) => matchesGlob(name, pattern)) && !exclude.some((pattern) => matchesGlob(name, pattern)),
  )
  if (chosen.length === 0) throw noParameters(include, trainable)
  return layOut(chosen)
}

function layOut(values: readonly Value[]): Parameter[] {
  let offset = 0
  return values.map(({ name, initializer }) => {
    const dims = initializer?.dims ?? []
    const parameter = { name, dims, offset, count: elementCount(dims) }
    offset += parameter.count
    return parameter
  })
}

function noParameters(patterns: readonly string[], trainable: readonly Value[]): HastenError {
  const names = trainable.map(({ name }) => name)
  const shown = names.length > 20 ? [...names.slice(0, 20), '…'] : names
  const detail = `no trainable parameter matches ${patterns.map((pattern) => `'${pattern}'`).join(', ')}`
  const known = names.length === 0 ? 'no float32 weight reaches the loss' : `there are: ${shown.join(', ')}`
  return new HastenError('not_differentiable', `${detail}; ${known}`, {
    hint: 'Parameters are selected by globs over the names of float32 initializers; GET /v1/models/{id}/graph lists them.',
  })
}

function isWeightUse({ node, index }: Use): boolean {
  if (node.domain !== '') return false
  if (weightInputs[node.opType]?.includes(index) === true) return true
  if (elementwise.has(node.opType)) return elementCount(node.inputs[index]?.initializer?.dims ?? []) > 1
  return index === 0 && forwarding.has(node.opType) && node.outputs.some((output) => [...output.uses].some(isWeightUse))
}

/** Everything that a value is computed from. */
function valuesBefore(value: Value): ReadonlySet<Value> {
  const reached = new Set([value])
  const visited = new Set<Node>()
  const pending = value.producer === undefined ? [] : [value.producer]
  for (let node = pending.pop(); node !== undefined; node = pending.pop()) {
    if (visited.has(node)) continue
    visited.add(node)
    for (const read of valuesRead(node)) {
      reached.add(read)
      if (read.producer !== undefined) pending.push(read.producer)
    }
  }
  return reached
}

/** The selected initializers of a graph end to end. */
export function packParameters(graph: Graph, parameters: readonly Parameter[]): Float32Array<ArrayBuffer> {
  const byName = new Map([...graph.initializers].map((value) => [value.name, value.initializer]))
  const last = parameters.at(-1)
  const packed = new Float32Array(last === undefined ? 0 : last.offset + last.count)
  const bytes = new Uint8Array(packed.buffer)
  for (const { name, offset } of parameters) {
    bytes.set((byName.get(name) as NumericTensor).bytes, offset * Float32Array.BYTES_PER_ELEMENT)
  }
  return packed
}
