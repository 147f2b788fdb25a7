import { HastenError, messageOf } from '../../errors.ts'
import { attribute, getInt, getTensor } from '../ir/attribute.ts'
import { dtypeTable, type DType } from '../ir/dtype.ts'
import type { Graph, Node, Use, Value } from '../ir/graph.ts'
import { cloneModel } from '../ir/clone.ts'
import type { Model } from '../ir/model.ts'
import type { ValueType } from '../ir/value-type.ts'
import { removeUnusedInitializers } from '../rewrite/dead.ts'
import { isFloatInput, isFloatOnly, takesAnyFloat } from './fp16/blocked-ops.ts'
import { toHalf } from './fp16/half.ts'
import { inferTypes } from './infer-types.ts'
import { definePass, type Note, type PassContext, type PassOptions } from './pass.ts'
import { liftConstants } from './simplify/lift-constants.ts'

type Options = PassOptions<'fp16'>

/** float16 weights and arithmetic. Nodes that have no float16 form stay float32 between casts. */
export const fp16Pass = definePass({
  name: 'fp16',
  stage: 'optimize',
  version: 1,
  async run(original, options, context) {
    const model = cloneModel(original)
    liftConstants(model)
    const types = await readTypes(model, context)
    if (typeof types === 'string')
      return { model: original, modified: false, notes: [{ action: 'skipped', reason: types }] }
    const notes = convertGraph(model, options, types)
    if (!notes.some((note) => note.action === 'done')) return { model: original, modified: false, notes }
    removeUnusedInitializers(model)
    return { model, modified: true, notes, warnings: storageWarning(context) }
  },
})

function storageWarning({ target }: PassContext) {
  if (target.device !== 'cpu') return []
  const hint = 'ONNX Runtime computes float16 models in float32 on CPUs: the file is half as large, not faster.'
  return [{ code: 'fp16_storage_only', hint }]
}

async function readTypes(model: Model, context: PassContext): Promise<ReadonlyMap<string, ValueType> | string> {
  try {
    return await inferTypes(context, model)
  } catch (error) {
    if (context.signal.aborted || !(error instanceof HastenError)) throw error
    return `the types of its values can't be inferred: ${messageOf(error)}`
  }
}

interface Conversion {
  readonly graph: Graph
  readonly isHalf: (node: Node) => boolean
  readonly isFloat: (value: Value) => boolean
  /** float16 forms of weights and of values that stay float32. */
  readonly halves: Map<Value, Value>
  /** Weights with values outside the range of float16, and how many. */
  readonly clamped: Map<string, number>
}

function convertGraph(model: Model, options: Options, types: ReadonlyMap<string, ValueType>): Note[] {
  const { graph } = model
  const isBlocked = (node: Node) =>
    isFloatOnly(node) || options.blockOps.includes(node.opType) || options.exclude.includes(node.name)
  // By value, since values that give a graph output its name are renamed on the way.
  const values = [...graph.inputs, ...graph.initializers, ...[...graph.nodes].flatMap((node) => node.outputs)]
  const floats = new Set(values.filter((value) => types.get(value.name)?.dtype === 'float32'))
  const conversion: Conversion = {
    graph,
    isHalf: (node) => node.graph === graph && !takesAnyFloat(node) && !isBlocked(node),
    isFloat: (value) => floats.has(value),
    halves: new Map(),
    clamped: new Map(),
  }
  const nodes = [...graph.nodes]
  const casts = nodes.filter((node) => node.opType === 'Cast').filter((node) => retargetCast(node, conversion))
  const halfNodes = nodes.filter((node) => conversion.isHalf(node) && touchesFloat(node, conversion))
  if (!options.keepIoTypes) retypeInputs(conversion)
  for (const node of halfNodes) convertInputs(node, conversion)
  for (const node of [...halfNodes, ...casts]) convertOutputs(node, conversion, options)
  const blocked = nodes.filter((node) => isBlocked(node) && touchesFloat(node, conversion))
  return describeConversion(halfNodes, blocked, conversion)
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
    const back = castOf(graph, input, 'float32')
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
  const { graph, halves, clamped } = conversion
  const known = halves.get(value)
  if (known !== undefined) return known
  const { initializer } = value
  let half: Value
  if (initializer === undefined || graph.inputs.includes(value)) half = castOf(graph, value, 'float16')
  else {
    const converted = toHalf(initializer)
    if (converted.clamped > 0) clamped.set(value.name, converted.clamped)
    half = graph.addInitializer(graph.freshName(`${value.name}_fp16`), converted.tensor)
  }
  halves.set(value, half)
  return half
}

function castOf(graph: Graph, value: Value, to: DType): Value {
  const name = graph.freshName(`${value.name}/Cast`)
  const attributes = { to: attribute.int(dtypeTable[to].onnx) }
  return graph.addNode({ opType: 'Cast', name, inputs: [value], attributes }).outputs[0] as Value
}

/** A float result is float16 now; whoever needs float32, a subgraph or the caller too, gets it through one cast. */
function convertOutputs(node: Node, conversion: Conversion, options: Options): void {
  for (const output of node.outputs) {
    if (!conversion.isFloat(output)) continue
    retype(output)
    const readers = [...output.uses].filter((use) => readsFloat(use, conversion))
    const isResult = output.isGraphOutput && options.keepIoTypes
    if (readers.length === 0 && !isResult) continue
    const half = [...output.uses].filter((use) => !readers.includes(use))
    const back = castOf(conversion.graph, output, 'float32')
    if (isResult) exposeCast(conversion.graph, output, back, half)
    for (const { node, index } of readers) node.setInput(index, back)
  }
}

function readsFloat({ node, index }: Use, { isHalf }: Conversion): boolean {
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

function describeConversion(half: readonly Node[], blocked: readonly Node[], { clamped }: Conversion): Note[] {
  return [
    ...half.map(({ name, opType }): Note => ({ node: name, op: opType, action: 'done', reason: 'float16' })),
    ...blocked.map(({ name, opType }): Note => {
      return {
        node: name,
        op: opType,
        action: 'skipped',
        reason: 'it stays float32: its kind, its domain, or the options',
      }
    }),
    ...[...clamped].map(([name, count]): Note => {
      return {
        action: 'info',
        reason: `${count} values of '${name}' were outside the range of float16 and moved into it`,
      }
    }),
  ]
}
