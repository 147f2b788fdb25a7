import { createHash, type Hash } from 'node:crypto'
import type { Attribute } from '../ir/attribute.ts'
import type { Graph, Node, Value } from '../ir/graph.ts'
import { graphsWithin, type Model } from '../ir/model.ts'
import type { Tensor } from '../ir/tensor.ts'

/** What a method needs to know of the values. */
export interface ObservationKind {
  /** Extremes only, their moving average by a constant, or counts of all values. */
  readonly of: 'extremes' | 'counts' | { readonly average: number }
  readonly samples: number
  readonly batch: number
}

/**
 * Names what observing a model on a dataset gives: the model's content, the values, the samples and what is kept of
 * them. The dataset itself, and the software, are for whoever keeps it to add.
 */
export function observationKey(model: Model, names: readonly string[], kind: ObservationKind): string {
  const hash = createHash('sha256')
  hash.update(
    JSON.stringify([
      kind.of,
      kind.samples,
      kind.batch,
      names.toSorted(),
      [...model.opsetImports].map(String).toSorted(),
    ]),
  )
  for (const graph of graphsWithin(model.graph)) addGraph(hash, graph)
  for (const { domain, name, overload, graph: body } of model.functions) {
    hash.update(JSON.stringify([domain, name, overload]))
    for (const graph of graphsWithin(body)) addGraph(hash, graph)
  }
  return hash.digest('hex')
}

const nameOf = (value: Value | undefined) => value?.name ?? ''

function addGraph(hash: Hash, { inputs, outputs, nodes, initializers }: Graph): void {
  hash.update(JSON.stringify([inputs.map(nameOf), outputs.map(nameOf), nodes.size, initializers.size]))
  for (const node of nodes) addNode(hash, node)
  for (const { name, initializer } of initializers) {
    hash.update(JSON.stringify(name))
    if (initializer !== undefined) addTensor(hash, initializer)
  }
}

function addNode(hash: Hash, { opType, domain, overload, inputs, outputs, attributes }: Node): void {
  hash.update(JSON.stringify([opType, domain, overload, inputs.map(nameOf), outputs.map(nameOf), attributes.size]))
  for (const [name, each] of attributes) {
    hash.update(JSON.stringify([name, each.kind]))
    addAttribute(hash, each)
  }
}

/** Graphs are hashed by themselves. */
function addAttribute(hash: Hash, each: Attribute): void {
  if (each.kind === 'graph' || each.kind === 'graphs' || each.kind === 'other') return
  if (each.kind === 'reference') hash.update(JSON.stringify(each.name))
  else if (each.kind === 'tensor') addTensor(hash, each.value)
  else if (each.kind === 'tensors') for (const tensor of each.value) addTensor(hash, tensor)
  else
    hash.update(JSON.stringify(each.value, (_key, value: unknown) => (typeof value === 'bigint' ? `${value}n` : value)))
}

function addTensor(hash: Hash, tensor: Tensor): void {
  hash.update(JSON.stringify([tensor.dtype, tensor.dims]))
  if (tensor.dtype === 'string') for (const each of tensor.strings) hash.update(`${each.length}:`).update(each)
  else hash.update(tensor.bytes)
}
