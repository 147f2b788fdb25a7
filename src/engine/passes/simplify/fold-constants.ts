import { HastenError, messageOf } from '../../../errors.ts'
import { subgraphsOf } from '../../ir/attribute.ts'
import type { Graph, Node, Value } from '../../ir/graph.ts'
import { createModel, graphsWithin, type Model } from '../../ir/model.ts'
import type { Tensor } from '../../ir/tensor.ts'
import { readConstants, type ConstantReader } from '../../rewrite/constants.ts'
import { removeDead } from '../../rewrite/dead.ts'
import type { Journal } from '../../rewrite/journal.ts'
import { plainSession, withSession, type RunContext } from '../run-model.ts'
import { foldedSize } from './fold-size.ts'

/** How many bytes the file may still grow by. */
export interface FoldBudget {
  bytes: number
}

/** By output of the node, since branches of an If may use one name twice. */
type Results = ReadonlyMap<Value, Tensor>

/**
 * Computes nodes whose inputs are all constant, on the runtime itself, and writes their results as initializers. Goes
 * wave by wave, so that the shapes a size is estimated from are always real ones.
 */
export async function foldConstants(
  context: RunContext,
  model: Model,
  journal: Journal,
  budget: FoldBudget,
): Promise<number> {
  let total = 0
  for (;;) {
    const constants = readConstants(model)
    const wave = [...graphsWithin(model.graph)].flatMap((graph) =>
      [...graph.nodes].filter((node) => isFoldable(node, constants, journal, budget)),
    )
    const folded = await foldWave(context, model, wave, journal, budget)
    if (folded === 0) return total
    total += folded
  }
}

async function foldWave(
  context: RunContext,
  model: Model,
  wave: readonly Node[],
  journal: Journal,
  budget: FoldBudget,
): Promise<number> {
  if (wave.length === 0) return 0
  const results = await computeWave(context, model, wave, journal)
  return wave.filter((node) => writeResults(node, results, journal, budget)).length
}

function isFoldable(node: Node, constants: ConstantReader, journal: Journal, budget: FoldBudget): boolean {
  const rewrite = rewriteOf(node)
  if (journal.refused.has(`${rewrite.rule} ${rewrite.at}`)) return false
  if (node.inputs.length === 0 || subgraphsOf(node).length > 0) return false
  if (node.outputs.some((output) => output.isGraphOutput || output.name === '')) return false
  const inputs = node.inputs.map((input) => constants(input))
  if (inputs.some((tensor, index) => tensor === undefined && node.inputs[index] !== undefined)) return false
  const size = foldedSize(node, inputs)
  if (size === undefined) {
    journal.refuse(rewrite, `how large the result of ${node.opType} is can't be told without running it`)
    return false
  }
  const most = Math.max(budget.bytes, bytesOf(inputs))
  if (size <= most) return true
  journal.refuse(rewrite, `the result would have ${size} elements`)
  return false
}

function rewriteOf(node: Node) {
  return { rule: 'fold-constant', at: node.outputs[0]?.name ?? node.name, op: node.opType, exact: true }
}

/** Runs a wave as one model; when that fails, each node alone, so that one bad node doesn't keep the others. */
async function computeWave(
  context: RunContext,
  model: Model,
  wave: readonly Node[],
  journal: Journal,
): Promise<Results> {
  try {
    return await computeNodes(context, model, wave)
  } catch (error) {
    const [node] = wave
    if (isStopped(error, context) || node === undefined) throw error
    if (wave.length === 1) {
      journal.refuse(rewriteOf(node), `the runtime can't compute it: ${messageOf(error)}`)
      return new Map()
    }
    const results = new Map<Value, Tensor>()
    for (const each of wave) {
      for (const [value, tensor] of await computeWave(context, model, [each], journal)) results.set(value, tensor)
    }
    return results
  }
}

function isStopped(error: unknown, { signal }: RunContext): boolean {
  return signal.aborted || !(error instanceof HastenError)
}

async function computeNodes(context: RunContext, model: Model, wave: readonly Node[]): Promise<Results> {
  const part = createModel({ irVersion: model.irVersion, opset: model.opsetImports.get('') ?? 0, name: 'constants' })
  const { graph } = part
  const added = new Map<Value, Value>()
  const copies = new Map<Value, Value>()
  for (const { opType, inputs, outputs, attributes } of wave) {
    const copy = graph.addNode({
      opType,
      inputs: inputs.map((input) => input && copyConstant(graph, input, added)),
      outputs: outputs.length,
      attributes: Object.fromEntries(attributes),
    })
    for (const [index, output] of copy.outputs.entries()) {
      graph.addOutput(output)
      copies.set(outputs[index] as Value, output)
    }
  }
  const run = await withSession(context, part, plainSession, (session) => session.run({}, { signal: context.signal }))
  return new Map([...copies].map(([value, copy]) => [value, run[copy.name] as Tensor]))
}

function copyConstant(graph: Graph, value: Value, added: Map<Value, Value>): Value {
  const known = added.get(value)
  if (known !== undefined) return known
  const copy = graph.addInitializer(graph.freshName(value.name), value.initializer as Tensor)
  added.set(value, copy)
  return copy
}

function writeResults(node: Node, results: Results, journal: Journal, budget: FoldBudget): boolean {
  const tensors = node.outputs.map((output) => results.get(output))
  const { graph } = node
  if (graph === undefined || !tensors.every((tensor) => tensor !== undefined)) return false
  const growth = Math.max(0, bytesOf(tensors) - bytesFreed(node))
  if (growth > budget.bytes) {
    journal.refuse(rewriteOf(node), `the file would grow by ${growth} bytes`)
    return false
  }
  if (!journal.admit(rewriteOf(node))) return false
  budget.bytes -= growth
  node.outputs.forEach((output, index) => replaceByConstant(graph, output, tensors[index] as Tensor))
  removeDead(node)
  return true
}

function replaceByConstant(graph: Graph, output: Value, tensor: Tensor): void {
  const { name } = output
  const value = graph.addInitializer(graph.freshName(name), tensor)
  graph.replaceAllUses(output, value)
  graph.renameValue(output, graph.freshName(`${name}_old`))
  graph.renameValue(value, name)
}

/** Bytes of the inputs that nothing else reads. */
function bytesFreed(node: Node): number {
  const own = node.inputs.filter((input) => input !== undefined && input.uses.size === 1)
  return bytesOf(own.map((input) => input?.initializer))
}

function bytesOf(tensors: readonly (Tensor | undefined)[]): number {
  return tensors.reduce(
    (total, each) => total + (each === undefined || each.dtype === 'string' ? 0 : each.bytes.byteLength),
    0,
  )
}
