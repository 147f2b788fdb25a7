import type { Node, Value } from '../ir/graph.ts'
import type { Emitter } from './emitter.ts'

/**
 * Replaces a node by one with `count` outputs, the first of which take the names, types and readers of the old ones.
 * @returns the outputs of the new node
 */
export function withOutputs(node: Node, count: number, emit: Emitter): readonly Value[] {
  const { graph, opType, domain, overload, opaque, name } = node
  if (graph === undefined) return node.outputs
  const length = Math.max(count, node.outputs.length)
  const fresh = Array.from({ length }, (_, index) => graph.freshName(`${name}_out${index}`))
  const attributes = Object.fromEntries(node.attributes)
  const inputs = [...node.inputs]
  const made = graph.insertBefore(node, { opType, domain, overload, opaque, name, inputs, attributes, outputs: fresh })
  emit.inferOutputs(made)
  node.outputs.forEach((old, index) => {
    if (old.name !== '') takeOver(old, made.outputs[index] as Value)
  })
  graph.removeNode(node)
  return made.outputs

  function takeOver(old: Value, replacement: Value): void {
    const oldName = old.name
    emit.setType(replacement, emit.type(old))
    const isOutput = old.isGraphOutput
    graph?.replaceAllUses(old, replacement)
    // A graph output has passed its name on already.
    if (isOutput) return
    graph?.renameValue(old, graph.freshName(`${oldName}_old`))
    graph?.renameValue(replacement, oldName)
  }
}
