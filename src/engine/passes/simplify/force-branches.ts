import { cloneModel } from '../../ir/clone.ts'
import type { Graph, Node } from '../../ir/graph.ts'
import type { Model } from '../../ir/model.ts'

function branchesIn(graph: Graph): Node[] {
  return [...graph.nodes].filter(({ opType, domain }) => opType === 'If' && domain === '')
}

/** What every If of the main graph gives, by the name of its first output. */
export function branchNames(model: Model): ReadonlySet<string> {
  return new Set(branchesIn(model.graph).map(nameOf))
}

function nameOf({ name, outputs: [output] }: Node): string {
  return output?.name ?? name
}

/**
 * A copy in which every If of the main graph with one of these names takes its then-branch, or every one its
 * else-branch, whatever its condition. Those inside branches go on deciding: they mostly guard against shapes that can't
 * be.
 */
export function forceBranches(model: Model, branch: boolean, names: ReadonlySet<string>): Model {
  const copy = cloneModel(model)
  const { graph } = copy
  for (const node of branchesIn(graph)) {
    if (!names.has(nameOf(node))) continue
    const condition = { dtype: 'bool' as const, dims: [], bytes: Uint8Array.of(branch ? 1 : 0) }
    node.setInput(0, graph.addInitializer(graph.freshName('forced'), condition))
  }
  return copy
}
