import { attribute, getInt, getTensor } from '../../ir/attribute.ts'
import { dtypeTable, type DType } from '../../ir/dtype.ts'
import type { Graph, Node, Use, Value } from '../../ir/graph.ts'
import { isFloatInput, takesAnyFloat } from './blocked-ops.ts'
import { toHalf } from './half.ts'

/** What the conversions of all graphs of a model share. */
export interface Shared {
  readonly isFloat: (value: Value) => boolean
  /** Makes a new value known as float32. */
  readonly markFloat: (value: Value) => void
  /** Why a node stays float32, or undefined. */
  readonly refuse: (node: Node) => string | undefined
  /** float16 forms of weights. */
  readonly weights: Map<Value, Value>
  /** Weights with values outside the range of float16, and how many. */
  readonly clamped: Map<string, number>
  /** Casts that give float32 readers what is float16 now. */
  readonly backCasts: Set<Node>
  readonly main: Graph
}

interface Conversion extends Shared {
  readonly graph: Graph
  readonly keepIo: boolean
  readonly isHalf: (node: Node) => boolean
  /** float16 forms of values that stay float32, by casts of this graph. */
  readonly halves: Map<Value, Value>
}

export interface Converted {
  readonly half: readonly Node[]
  /** Nodes that compute in float32, with the reason. */
  readonly kept: readonly (readonly [Node, string])[]
}

/** Converts the nodes of one graph; its inputs and outputs stay float32 where `keepIo` says so. */
export function convertGraph(graph: Graph, keepIo: boolean, shared: Shared): Converted {
  const nodes = [...graph.nodes]
  const refused = new Map(nodes.map((node) => [node, takesAnyFloat(node) ? undefined : shared.refuse(node)]))
  const isHalf = (node: Node) => refused.has(node) && !takesAnyFloat(node) && refused.get(node) === undefined
  const conversion: Conversion = { ...shared, graph, keepIo, isHalf, halves: new Map() }
  const casts = nodes.filter((node) => node.opType === 'Cast').filter((node) => retargetCast(node, conversion))
  const half = nodes.filter((node) => isHalf(node) && touchesFloat(node, conversion))
  const kept = nodes.flatMap((node) => {
    const reason = refused.get(node)
    return reason !== undefined && touchesFloat(node, conversion) ? [[node, reason] as const] : []
  })
  if (!keepIo) retypeInputs(conversion)
  for (const node of half) convertInputs(node, conversion)
  for (const node of [...half, ...casts]) convertOutputs(node, conversion)
  return { half, kept }
}

function touchesFloat(node: Node, { isFloat }: Conversion): boolean {
  const inputs = node.inputs.filter((value, index) => value !== undefined && !isFloatInput(node, index))
  return [...inputs, ...node.outputs].some((value) => value !== undefined && isFloat(value))
}

/** A cast to float32 that only float16 nodes read becomes one to float16. */
function retargetCast(node: Node, { isHalf }: Conversion): boolean {
  const [output] = node.outputs
  if (output === undefined || output.isGraphOutput || output.uses.size === 0) return false
  if (getInt(node, 'to') !== dtypeTable.float32.onnx) return false
  if (![...output.uses].every(({ node, index }) => isHalf(node) && !isFloatInput(node, index))) return false
  node.setAttribute('to', attribute.int(dtypeTable.float16.onnx))
  return true
}

/** Without casts at the inputs, the inputs themselves are float16. */
function retypeInputs(conversion: Conversion): void {
  const { graph, isFloat, halves } = conversion
  for (const input of graph.inputs) {
    if (!isFloat(input) || input.initializer !== undefined) continue
    const readers = [...input.uses].filter((use) => readsFloat(use, conversion))
    retype(input)
    halves.set(input, input)
    if (readers.length === 0) continue
    const back = backCastOf(conversion, input)
    for (const { node, index } of readers) node.setInput(index, back)
  }
}

function retype(value: Value): void {
  const { type } = value
  if (type !== undefined) value.type = { dtype: 'float16', dims: type.dims }
}

function convertInputs(node: Node, conversion: Conversion): void {
  convertFill(node)
  for (const [index, value] of node.inputs.entries()) {
    if (value === undefined || isFloatInput(node, index) || !conversion.isFloat(value)) continue
    if (value.producer !== undefined && becomesHalf(value.producer, conversion)) continue
    node.setInput(index, halfOf(value, conversion))
  }
}

function becomesHalf(node: Node, { isHalf }: Conversion): boolean {
  return isHalf(node) || (node.opType === 'Cast' && getInt(node, 'to') === dtypeTable.float16.onnx)
}

/** ConstantOfShape has its value, and so its type, in an attribute; float32 by default. */
function convertFill(node: Node): void {
  if (node.opType !== 'ConstantOfShape') return
  const fill = getTensor(node, 'value') ?? { dtype: 'float32', dims: [1], bytes: new Uint8Array(4) }
  if (fill.dtype === 'float32') node.setAttribute('value', attribute.tensor(toHalf(fill).tensor))
}

function halfOf(value: Value, conversion: Conversion): Value {
  const { graph, halves } = conversion
  if (value.initializer !== undefined && !value.isGraphInput) return halfWeight(value, conversion)
  const known = halves.get(value)
  if (known !== undefined) return known
  const half = castOf(graph, value, 'float16')
  halves.set(value, half)
  return half
}

/** A weight goes to the graph it is in, or to the outermost, so that branches share what they shared. */
function halfWeight(value: Value, { graph, main, weights, clamped }: Conversion): Value {
  const known = weights.get(value)
  if (known !== undefined || value.initializer === undefined) return known ?? value
  const converted = toHalf(value.initializer)
  if (converted.clamped > 0) clamped.set(value.name, converted.clamped)
  const owner = graph.initializers.has(value) ? graph : main
  const half = owner.addInitializer(owner.freshName(`${value.name}_fp16`), converted.tensor)
  weights.set(value, half)
  return half
}

function castOf(graph: Graph, value: Value, to: DType): Value {
  const name = graph.freshName(`${value.name}/Cast`)
  const attributes = { to: attribute.int(dtypeTable[to].onnx) }
  return graph.addNode({ opType: 'Cast', name, inputs: [value], attributes }).outputs[0] as Value
}

function backCastOf({ graph, backCasts, markFloat }: Conversion, value: Value): Value {
  const back = castOf(graph, value, 'float32')
  markFloat(back)
  if (back.producer !== undefined) backCasts.add(back.producer)
  return back
}

/** A float result is float16 now; whoever needs float32, a subgraph or the caller too, gets it through one cast. */
function convertOutputs(node: Node, conversion: Conversion): void {
  for (const output of node.outputs) {
    if (!conversion.isFloat(output)) continue
    retype(output)
    const readers = [...output.uses].filter((use) => readsFloat(use, conversion))
    const isResult = output.isGraphOutput && conversion.keepIo
    if (readers.length === 0 && !isResult) continue
    const half = [...output.uses].filter((use) => !readers.includes(use))
    const back = backCastOf(conversion, output)
    if (isResult) exposeCast(conversion.graph, output, back, half)
    for (const { node, index } of readers) node.setInput(index, back)
  }
}

function readsFloat({ node, index }: Use, { isHalf, graph }: Conversion): boolean {
  // A cast in a subgraph would do with float16, but its own conversion still counts on float32.
  if (node.graph !== graph) return true
  return (!isHalf(node) && !takesAnyFloat(node)) || isFloatInput(node, index)
}

/** Gives the graph output, with its name, to the cast; the other readers keep the float16 value. */
function exposeCast(graph: Graph, output: Value, back: Value, half: readonly Use[]): void {
  const type = output.type
  const source = back.producer as Node
  graph.replaceAllUses(output, back)
  source.setInput(0, output)
  for (const { node, index } of half) node.setInput(index, output)
  if (type !== undefined) back.type = { dtype: 'float32', dims: type.dims }
}
