import { attribute, getFloat, getInt } from '../ir/attribute.ts'
import type { Node, Value } from '../ir/graph.ts'
import type { Model } from '../ir/model.ts'
import { inferTypes, type InferredTypes } from '../ops/index.ts'
import { createEmitter, type Emitter } from './emit.ts'

/** Emits what a node computes. Undefined where the node is of a form that is not known here. */
type WriteOut = (node: Node, emitter: Emitter, known: Known) => Value | undefined

interface Known {
  readonly types: InferredTypes
  /** Version of ai.onnx. */
  readonly opset: number
}

/**
 * Writes kernels of ONNX Runtime out in operators of ai.onnx, which have gradients. Only the step is made of them: the
 * trained model keeps its kernels. What is of an unknown form stays, and is refused by its name if a gradient needs it.
 */
export function writeOutKernels(model: Model): void {
  const { graph } = model
  const types = inferTypes(model)
  const opset = model.opsetImports.get('') ?? 1
  for (const node of graph.nodes) {
    const writeOut = kernels[`${node.domain}:${node.opType}`]
    const [output] = node.outputs
    if (writeOut === undefined || output === undefined || types.of(output)?.dtype !== 'float32') continue
    if (node.outputs.slice(1).some(({ uses, isGraphOutput }) => uses.size > 0 || isGraphOutput)) continue
    const result = writeOut(node, createEmitter(graph, node.name || node.opType), { types, opset })
    if (result === undefined) continue
    const { name } = node
    graph.replaceAllUses(output, result)
    graph.removeNode(node)
    // What froze the kernel by its name freezes what came of it.
    if (result.producer !== undefined) result.producer.name = name
    if (!result.isGraphOutput) graph.renameValue(result, output.name)
  }
}

const kernels: Readonly<Record<string, WriteOut>> = {
  'com.microsoft:Gelu': ({ inputs: [x] }, emitter) => x && gelu(emitter, x),
  'com.microsoft:BiasGelu': ({ inputs: [x, bias] }, emitter) =>
    x && bias && gelu(emitter, emitter.emit('Add', [x, bias])),
  'com.microsoft:FastGelu': ({ inputs: [x, bias] }, emitter) =>
    x && tanhGelu(emitter, bias === undefined ? x : emitter.emit('Add', [x, bias])),
  'com.microsoft:QuickGelu': (node, { emit }) => {
    const [x] = node.inputs
    return x && emit('Mul', [x, emit('Sigmoid', [emit('Mul', [x, getFloat(node, 'alpha', 1.702)])])])
  },
  'com.microsoft:SkipLayerNormalization': skipLayerNorm,
  'com.microsoft:MultiHeadAttention': attention,
  ':SimplifiedLayerNormalization': rmsNorm,
  ':RMSNormalization': rmsNorm,
}

/** x/2 · (1 + erf(x/√2)). */
function gelu({ emit }: Emitter, x: Value): Value {
  return emit('Mul', [emit('Mul', [x, 0.5]), emit('Add', [emit('Erf', [emit('Mul', [x, Math.SQRT1_2])]), 1])])
}

/** x/2 · (1 + tanh(√(2/π) · (x + 0.044715·x³))). */
function tanhGelu({ emit }: Emitter, x: Value): Value {
  const cubic = emit('Mul', [emit('Mul', [x, x]), emit('Mul', [x, 0.044715])])
  const inner = emit('Mul', [emit('Add', [x, cubic]), Math.sqrt(2 / Math.PI)])
  return emit('Mul', [emit('Mul', [x, 0.5]), emit('Add', [emit('Tanh', [inner]), 1])])
}

function skipLayerNorm(node: Node, { emit }: Emitter): Value | undefined {
  const [input, skip, gamma, beta, bias] = node.inputs
  if (input === undefined || skip === undefined || gamma === undefined) return undefined
  const sum = emit('Add', [input, skip])
  const shifted = bias === undefined ? sum : emit('Add', [sum, bias])
  const attributes = { axis: attribute.int(-1), epsilon: attribute.float(getFloat(node, 'epsilon', 1e-12)) }
  return emit('LayerNormalization', [shifted, gamma, ...(beta === undefined ? [] : [beta])], attributes)
}

/** γ · x / √(mean(x²) + ε) over the last axis. */
function rmsNorm(node: Node, { emit, ints }: Emitter, { types, opset }: Known): Value | undefined {
  const [x, gamma] = node.inputs
  const rank = types.of(x)?.dims?.length
  const axis = getInt(node, 'axis', -1)
  if (x === undefined || gamma === undefined || (axis !== -1 && axis + 1 !== rank)) return undefined
  // Axes became an input in opset 18.
  const squares = emit('Mul', [x, x])
  const square =
    opset >= 18
      ? emit('ReduceMean', [squares, ints([-1])])
      : emit('ReduceMean', [squares], { axes: attribute.ints([-1]) })
  const length = emit('Sqrt', [emit('Add', [square, getFloat(node, 'epsilon', 1e-5)])])
  return emit('Mul', [emit('Div', [x, length]), gamma])
}

/** softmax(Q·Kᵀ·scale + mask)·V, from queries, keys and values of [batch, tokens, heads · size]. */
function attention(node: Node, { emit, ints }: Emitter, { types }: Known): Value | undefined {
  const [query, key, value, bias, padding, mask, ...past] = node.inputs
  const heads = getInt(node, 'num_heads', 0)
  const given = [bias, padding, ...past].filter((input) => input !== undefined)
  if (query === undefined || key === undefined || value === undefined || given.length > 0) return undefined
  if ([query, key, value].some((each) => types.of(each)?.dims?.length !== 3)) return undefined
  const width = types.of(query)?.dims?.[2]
  if (heads === 0 || getInt(node, 'unidirectional', 0) !== 0 || typeof width !== 'number') return undefined
  const transpose = (input: Value, perm: readonly number[]) =>
    emit('Transpose', [input], { perm: attribute.ints(perm) })
  const split = (input: Value, perm: readonly number[]) =>
    transpose(emit('Reshape', [input, ints([0, 0, heads, -1])]), perm)
  const product = emit('MatMul', [split(query, [0, 2, 1, 3]), split(key, [0, 2, 3, 1])])
  const scaled = emit('Mul', [product, getFloat(node, 'scale', 0) || Math.sqrt(heads / width)])
  const masked = mask === undefined ? scaled : emit('Add', [scaled, mask])
  const weights = emit('Softmax', [masked], { axis: attribute.int(-1) })
  const mixed = transpose(emit('MatMul', [weights, split(value, [0, 2, 1, 3])]), [0, 2, 1, 3])
  return emit('Reshape', [mixed, ints([0, 0, -1])])
}
