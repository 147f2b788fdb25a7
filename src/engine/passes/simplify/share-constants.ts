import { createHash } from 'node:crypto'
import type { Value } from '../../ir/graph.ts'
import type { Model } from '../../ir/model.ts'
import type { Tensor } from '../../ir/tensor.ts'

/** Smaller constants are left where they are: moving them saves nothing worth a less readable graph. */
const leastBytes = 1024

/**
 * Lets branches share equal constants: an exporter writes what puts the weights of a recurrent layer together into each
 * branch, and every branch would get a copy. The shared one moves to the main graph, which all branches see.
 * @returns bytes that the file got smaller by
 */
export function shareConstants(model: Model, values: readonly Value[]): number {
  const groups = Map.groupBy(values, ({ initializer }) => keyOf(initializer))
  return [...groups].reduce((saved, [key, group]) => (key === undefined ? saved : saved + shareGroup(model, group)), 0)
}

/** Equal for equal tensors; undefined for what is too small to share. */
function keyOf(tensor: Tensor | undefined): string | undefined {
  if (tensor === undefined || tensor.dtype === 'string' || tensor.bytes.byteLength < leastBytes) return undefined
  return [tensor.dtype, ...tensor.dims, createHash('sha256').update(tensor.bytes).digest('hex')].join(' ')
}

function shareGroup({ graph }: Model, group: readonly Value[]): number {
  const [first] = group
  const tensor = first?.initializer
  if (first === undefined || tensor === undefined || tensor.dtype === 'string' || group.length < 2) return 0
  const shared = graph.addInitializer(graph.freshName(first.name), tensor)
  for (const value of group) graph.replaceAllUses(value, shared)
  return (group.length - 1) * tensor.bytes.byteLength
}
