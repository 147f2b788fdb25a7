import { HastenError, messageOf } from '../../../errors.ts'
import { byteLength } from '../../ir/dtype.ts'
import type { Graph, Node, Value } from '../../ir/graph.ts'
import { createModel, graphsWithin, type Model } from '../../ir/model.ts'
import { elementCount, type Tensor } from '../../ir/tensor.ts'
import { constantValue, inferTypes, isFoldable, type InferredTypes } from '../../ops/index.ts'
import { removeDead } from '../../rewrite/dead.ts'
import { rewriteKey, type Journal } from '../../rewrite/journal.ts'
import { plainSession, withSession, type RunContext } from '../run-model.ts'
import { findChains } from './fold-chains.ts'
import { shareConstants } from './share-constants.ts'

/** How many bytes the file may still grow by. */
export interface FoldBudget {
  bytes: number
}

/** By output of the node, since branches of an If may use one name twice. */
type Results = ReadonlyMap<Value, Tensor>

/**
 * Computes nodes whose inputs are all constant, on the runtime itself, and writes their results as initializers. First
 * whole chains, whose growth is known beforehand; what is left, wave by wave: the size of a result is known when all
 * inputs are there.
 */
export async function foldConstants(
  context: RunContext,
  model: Model,
  journal: Journal,
  budget: FoldBudget,
): Promise<number> {
  let total = 0
  for (;;) {
    const chained = await foldChains(context, model, journal, budget)
    const types = inferTypes(model)
    const wave = [...graphsWithin(model.graph)].flatMap((graph) =>
      [...graph.nodes].filter((node) => isReady(node, types, journal, budget)),
    )
    const folded = await foldWave(context, model, wave, journal, budget)
    if (chained + folded === 0) return total
    total += chained + folded
  }
}

/** Chains that fit into the budget as a whole, those that free most first. One that can't be computed is left. */
async function foldChains(context: RunContext, model: Model, journal: Journal, budget: FoldBudget): Promise<number> {
  const isCandidate = (node: Node) => mayFold(node) && !journal.refused.has(rewriteKey(rewriteOf(node)))
  const chains = findChains(model, inferTypes(model), isCandidate, budget.bytes)
  let total = 0
  for (const { nodes, growth } of chains.toSorted((one, other) => one.growth - other.growth)) {
    if (growth > budget.bytes) break
    const results = await computeChain(context, model, nodes)
    if (results === undefined) continue
    const written = nodes.flatMap((node) => writeResults(node, results, journal) ?? [])
    const shared = shareConstants(
      model,
      written.filter((value) => value.uses.size > 0),
    )
    budget.bytes -= Math.max(0, growth - shared)
    total += written.length
  }
  return total
}

/** Undefined where the runtime refuses a node: waves find out which. */
async function computeChain(context: RunContext, model: Model, nodes: readonly Node[]): Promise<Results | undefined> {
  try {
    return await computeNodes(context, model, nodes)
  } catch (error) {
    if (isStopped(error, context)) throw error
    return undefined
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
  const done = wave.filter((node) => node.outputs.every((output) => results.has(output)))
  const { nodes, growth } = chooseWithin(done, results, journal, budget)
  budget.bytes -= growth
  return nodes.filter((node) => writeResults(node, results, journal) !== undefined).length
}

/** As many nodes as the budget has room for, those that would make the file grow most left out first. */
function chooseWithin(wave: readonly Node[], results: Results, journal: Journal, budget: FoldBudget) {
  let nodes = wave
  for (;;) {
    const growths = growthsOf(nodes, results)
    const growth = Math.ceil(
      Math.max(
        0,
        [...growths.values()].reduce((sum, each) => sum + each, 0),
      ),
    )
    if (growth <= budget.bytes) return { nodes, growth }
    const [largest] = [...growths].toSorted(([, a], [, b]) => a - b).slice(-1)
    if (largest === undefined) return { nodes, growth: 0 }
    journal.refuse(rewriteOf(largest[0]), `the file would grow by ${Math.ceil(largest[1])} bytes`)
    nodes = nodes.filter((node) => node !== largest[0])
  }
}

/** Bytes by which the file grows when nodes become their results; negative where it shrinks. */
function growthsOf(nodes: readonly Node[], results: Results): Map<Node, number> {
  const going = new Set(nodes)
  return new Map(
    nodes.map((node) => [node, bytesOf(node.outputs.map((output) => results.get(output))) - bytesFreed(node, going)]),
  )
}

/** Whether a node may become its results, once its inputs are constant. */
function mayFold(node: Node): boolean {
  if (!isFoldable(node) || node.inputs.length === 0 || node.domain !== '') return false
  return !node.outputs.some((output) => output.isGraphOutput || output.name === '')
}

function isReady(node: Node, types: InferredTypes, journal: Journal, budget: FoldBudget): boolean {
  if (!mayFold(node)) return false
  const inputs = node.inputs.map((input) => constantValue(input))
  if (inputs.some((tensor, index) => tensor === undefined && node.inputs[index] !== undefined)) return false
  const rewrite = rewriteOf(node)
  if (journal.refused.has(rewriteKey(rewrite))) return false
  const reason = whyTooLarge(node, types, Math.max(budget.bytes, bytesOf(inputs)))
  if (reason !== undefined) journal.refuse(rewrite, reason)
  return reason === undefined
}

/** Nothing is run whose result may be large: a few bytes of constants can ask for terabytes. */
function whyTooLarge(node: Node, types: InferredTypes, most: number): string | undefined {
  let bytes = 0
  for (const output of node.outputs) {
    const type = types.of(output)
    if (type?.dims == null || !type.dims.every((dim) => typeof dim === 'number')) {
      return `how large the result of ${node.opType} is can't be told without running it`
    }
    bytes += byteLength(type.dtype, elementCount(type.dims))
  }
  return bytes <= most ? undefined : `the result would have ${bytes} bytes`
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
      inputs: inputs.map((input) => input && (copies.get(input) ?? copyConstant(graph, input, added))),
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
  const copy = graph.addInitializer(graph.freshName(value.name), constantValue(value) as Tensor)
  added.set(value, copy)
  return copy
}

/** The constants that a node became; undefined where it stays. */
function writeResults(node: Node, results: Results, journal: Journal): Value[] | undefined {
  const { graph, outputs } = node
  if (graph === undefined || !journal.admit(rewriteOf(node))) return undefined
  const written = outputs.map((output) => replaceByConstant(graph, output, results.get(output) as Tensor))
  removeDead(node)
  return written
}

function replaceByConstant(graph: Graph, output: Value, tensor: Tensor): Value {
  const { name } = output
  const value = graph.addInitializer(graph.freshName(name), tensor)
  graph.replaceAllUses(output, value)
  graph.renameValue(output, graph.freshName(`${name}_old`))
  graph.renameValue(value, name)
  return value
}

/** A node's shares of the constants that only nodes which go read, such as the slices of one weight. */
function bytesFreed(node: Node, going: ReadonlySet<Node>): number {
  const inputs = new Set(node.inputs.filter((input) => input !== undefined))
  return [...inputs].reduce((total, input) => {
    const goes = !input.isGraphOutput && [...input.uses].every((use) => going.has(use.node))
    const share = node.inputs.filter((each) => each === input).length / input.uses.size
    return goes ? total + bytesOf([constantValue(input)]) * share : total
  }, 0)
}

function bytesOf(tensors: readonly (Tensor | undefined)[]): number {
  return tensors.reduce(
    (total, each) => total + (each === undefined || each.dtype === 'string' ? 0 : each.bytes.byteLength),
    0,
  )
}
