import { subgraphsOf, type Attribute } from '../ir/attribute.ts'
import type { Graph, Node, Value } from '../ir/graph.ts'
import { graphsWithin, type Model } from '../ir/model.ts'
import { topologicalOrder } from '../ir/order.ts'
import { constantValue, isFoldable } from '../ops/index.ts'
import { removeDead } from './dead.ts'
import type { Journal } from './journal.ts'

/** Constants up to this size are compared by content, larger ones by identity. */
const maxCompared = 256

/**
 * Lets the readers of a node read an earlier one of the same graph that computes the same from the same. Only
 * operators that give the same each time: not DequantizeLinear, since the runtime fuses one per reader.
 * @returns how many nodes went
 */
export function mergeCommon(model: Model, journal: Journal): number {
  const ids = new Map<Value, number>()
  const idOf = (value: Value) => {
    const id = ids.get(value) ?? ids.size
    ids.set(value, id)
    return id
  }
  return [...graphsWithin(model.graph)].reduce((count, graph) => count + mergeIn(graph, journal, idOf), 0)
}

type Identify = (value: Value) => number

function mergeIn(graph: Graph, journal: Journal, idOf: Identify): number {
  const seen = new Map<string, Node>()
  let merged = 0
  for (const node of topologicalOrder(graph).order) {
    const key = keyOf(node, idOf)
    const earlier = key === undefined ? undefined : seen.get(key)
    if (earlier !== undefined && mergeInto(earlier, node, graph, journal)) merged += 1
    else if (key !== undefined && earlier === undefined) seen.set(key, node)
  }
  return merged
}

/** What a node computes, in words that only an equal node has; undefined for one that must stay. */
function keyOf(node: Node, idOf: Identify): string | undefined {
  if (!isFoldable(node) || subgraphsOf(node).length > 0 || node.opType === 'Constant') return undefined
  const attributes = [...node.attributes].map(([name, value]) => `${name}=${attributeKey(value)}`)
  if (attributes.some((each) => each.endsWith('=?'))) return undefined
  const inputs = node.inputs.map((input) => (input === undefined ? '' : valueKey(input, idOf)))
  return JSON.stringify([node.domain, node.opType, node.outputs.length, inputs, attributes.toSorted()])
}

function attributeKey(value: Attribute): string {
  if (value.kind === 'int') return String(value.value)
  if (value.kind === 'float') return String(value.value)
  if (value.kind === 'ints' || value.kind === 'floats') return `${value.kind}:${value.value.join(',')}`
  if (value.kind === 'string') return JSON.stringify(Buffer.from(value.value).toString('latin1'))
  return '?'
}

function valueKey(value: Value, idOf: Identify): string {
  const tensor = constantValue(value)
  if (tensor === undefined || tensor.dtype === 'string' || tensor.bytes.length > maxCompared) return `#${idOf(value)}`
  return `${tensor.dtype}[${tensor.dims.join()}]${Buffer.from(tensor.bytes).toString('base64')}`
}

function mergeInto(earlier: Node, node: Node, graph: Graph, journal: Journal): boolean {
  const pairs = node.outputs.map((output, index) => [output, earlier.outputs[index] as Value] as const)
  // Two outputs of the graph keep two names, and an output left out has no value to read.
  if (pairs.some(([output, kept]) => (output.isGraphOutput && kept.isGraphOutput) || kept.name === '')) return false
  const rewrite = { rule: 'merge-common', at: node.outputs[0]?.name ?? node.name, op: node.opType, exact: true }
  if (!journal.admit(rewrite)) return false
  for (const [output, kept] of pairs) graph.replaceAllUses(output, kept)
  removeDead(node)
  return true
}
