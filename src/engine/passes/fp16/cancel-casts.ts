import { getInt } from '../../ir/attribute.ts'
import { dtypeTable } from '../../ir/dtype.ts'
import type { Node } from '../../ir/graph.ts'
import { graphsWithin, type Model } from '../../ir/model.ts'

/**
 * Takes out casts to float16 of what was float16 before a cast to float32, as between a graph and its subgraphs, and
 * the casts that nobody reads then.
 * @param backCasts casts to float32 that the conversion made of float16 values
 */
export function cancelCasts(model: Model, backCasts: ReadonlySet<Node>): void {
  for (const graph of graphsWithin(model.graph)) {
    for (const node of graph.nodes) {
      const producer = node.inputs[0]?.producer
      const [output] = node.outputs
      const source = producer?.inputs[0]
      if (node.opType !== 'Cast' || getInt(node, 'to') !== dtypeTable.float16.onnx) continue
      if (producer === undefined || source === undefined || output === undefined || !backCasts.has(producer)) continue
      graph.replaceAllUses(output, source)
      if (!output.isGraphOutput) graph.removeNode(node)
    }
  }
  for (const cast of backCasts) {
    const isRead = cast.outputs.some((output) => output.uses.size > 0 || output.isGraphOutput)
    if (!isRead) cast.graph?.removeNode(cast)
  }
}
