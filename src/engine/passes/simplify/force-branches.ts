import { cloneModel } from '../../ir/clone.ts'
import type { Graph, Node } from '../../ir/graph.ts'
import type { Model } from '../../ir/model.ts'

function branchesIn(graph: Graph): Node[] {
  return [...graph.nodes].filter(({ opType, domain }) => opType === 'If' && domain === '')
}

/** Whether there is an If in the main graph of a model. */
export function hasBranches(model: Model): boolean {
  return branchesIn(model.graph).length > 0
}

/**
 * A copy in which every If of the main graph takes its then-branch, or every one its else-branch, whatever its
 * condition. Those inside branches go on deciding: they mostly guard against shapes that can't be.
 */
export function forceBranches(model: Model, branch: boolean): Model {
  const copy = cloneModel(model)
  const { graph } = copy
  for (const node of branchesIn(graph)) {
    const condition = { dtype: 'bool' as const, dims: [], bytes: Uint8Array.of(branch ? 1 : 0) }
    node.setInput(0, graph.addInitializer(graph.freshName('forced'), condition))
  }
  return copy
}
