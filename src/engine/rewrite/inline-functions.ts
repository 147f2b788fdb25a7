import type { Attribute } from '../ir/attribute.ts'
import { cloneGraph } from '../ir/clone.ts'
import type { Graph, Node, Value } from '../ir/graph.ts'
import { allNodes, graphsWithin, importOpset, type Model, type ModelFunction } from '../ir/model.ts'
import { topologicalOrder } from '../ir/order.ts'
import type { Journal } from './journal.ts'

type Functions = ReadonlyMap<string, ModelFunction>

function keyOf({ domain, overload }: { domain: string; overload: string }, name: string): string {
  return `${domain}:${name}:${overload}`
}

/**
 * Puts the bodies of model functions in place of their calls, in subgraphs too, and drops functions that nothing calls
 * any more. A call stays, with the reason in the journal, when its function is written for another operator set.
 * @returns how many calls went
 */
export function inlineFunctions(model: Model, journal: Journal): number {
  if (model.functions.length === 0) return 0
  const functions: Functions = new Map(model.functions.map((each) => [keyOf(each, each.name), each]))
  let count = 0
  for (let before = -1; before !== count;) {
    before = count
    for (const graph of graphsWithin(model.graph)) count += inlineIn(graph, model, functions, journal)
  }
  dropUncalled(model)
  return count
}

function inlineIn(graph: Graph, model: Model, functions: Functions, journal: Journal): number {
  let count = 0
  for (const node of graph.nodes) {
    const called = functions.get(keyOf(node, node.opType))
    if (called !== undefined && inlineCall(graph, node, called, { model, functions, journal })) count += 1
  }
  return count
}

interface Inlining {
  readonly model: Model
  readonly functions: Functions
  readonly journal: Journal
}

function inlineCall(graph: Graph, call: Node, called: ModelFunction, inlining: Inlining): boolean {
  const { model, functions, journal } = inlining
  const rewrite = { rule: 'inline-function', at: call.outputs[0]?.name ?? call.name, op: call.opType, exact: true }
  const reason = whyNot(called, model, functions)
  if (reason !== undefined) journal.refuse(rewrite, reason)
  if (reason !== undefined || !journal.admit(rewrite)) return false
  for (const [domain, version] of called.opsetImports) importOpset(model, domain, version)
  const values = copyBody(graph, call, called)
  call.outputs.forEach((output, index) => {
    const result = called.graph.outputs[index]
    if (output.name === '' || result === undefined) return
    graph.replaceAllUses(output, values.get(result) ?? result)
  })
  graph.removeNode(call)
  return true
}

function whyNot(called: ModelFunction, model: Model, functions: Functions): string | undefined {
  if (callsItself(called, functions)) return 'its function calls itself'
  for (const [domain, version] of called.opsetImports) {
    const imported = model.opsetImports.get(domain)
    if (imported === undefined || imported === version) continue
    return `its function is written for version ${version} of '${domain || 'ai.onnx'}', the model for ${imported}`
  }
  return undefined
}

/** Not allowed, but a file may say so. */
function callsItself(called: ModelFunction, functions: Functions): boolean {
  const reached = new Set<ModelFunction>()
  const pending = [called]
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const inner = calledBy(next, functions).filter((each) => !reached.has(each))
    if (inner.includes(called)) return true
    for (const each of inner) reached.add(each)
    pending.push(...inner)
  }
  return false
}

function calledBy({ graph }: ModelFunction, functions: Functions): ModelFunction[] {
  const found: ModelFunction[] = []
  for (const each of graphsWithin(graph)) {
    for (const node of each.nodes) {
      const inner = functions.get(keyOf(node, node.opType))
      if (inner !== undefined) found.push(inner)
    }
  }
  return found
}

/** Copies the nodes of a function in front of a call. Gives what stands for each value of the body. */
function copyBody(graph: Graph, call: Node, { graph: body, defaults }: ModelFunction): Map<Value, Value> {
  const values = new Map<Value, Value>()
  body.inputs.forEach((input, index) => {
    const given = call.inputs[index]
    if (given !== undefined) values.set(input, given)
  })
  const isMissing = (value: Value | undefined) => value !== undefined && body.inputs.includes(value)
  for (const node of topologicalOrder(body).order) {
    const copy = graph.insertBefore(call, {
      opType: node.opType,
      domain: node.domain,
      overload: node.overload,
      name: graph.freshName(`${call.name}/${node.name || node.opType}`),
      inputs: node.inputs.map((input) => input && (values.get(input) ?? (isMissing(input) ? undefined : input))),
      outputs: node.outputs.map(({ name }) => (name === '' ? '' : graph.freshName(`${call.name}/${name}`))),
    })
    for (const [name, value] of node.attributes) setResolved(copy, name, value, { call, defaults, values })
    node.outputs.forEach((output, index) => values.set(output, copy.outputs[index] as Value))
  }
  return values
}

interface Binding {
  readonly call: Node
  readonly defaults: ReadonlyMap<string, Attribute>
  readonly values: ReadonlyMap<Value, Value>
}

/** A reference becomes what the call gives, else the default, else it is left out. */
function setResolved(node: Node, name: string, value: Attribute, binding: Binding): void {
  const resolved = resolve(value, binding)
  if (resolved !== undefined) node.setAttribute(name, resolved)
}

function resolve(value: Attribute, { call, defaults, values }: Binding): Attribute | undefined {
  if (value.kind === 'reference') return call.attributes.get(value.name) ?? defaults.get(value.name)
  if (value.kind !== 'graph') return value
  const graph = cloneGraph(value.value, values)
  for (const inner of graphsWithin(graph)) {
    for (const node of inner.nodes) resolveReferences(node, { call, defaults, values })
  }
  return { ...value, value: graph }
}

function resolveReferences(node: Node, binding: Binding): void {
  for (const [name, value] of node.attributes) {
    if (value.kind !== 'reference') continue
    node.removeAttribute(name)
    setResolved(node, name, value, binding)
  }
}

function dropUncalled(model: Model): void {
  for (let before = -1; before !== model.functions.length;) {
    before = model.functions.length
    const called = new Set([...allNodes(model)].map((node) => keyOf(node, node.opType)))
    const kept = model.functions.filter((each) => called.has(keyOf(each, each.name)))
    model.functions.splice(0, before, ...kept)
  }
}
