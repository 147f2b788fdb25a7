import { getInt } from '../../ir/attribute.ts'
import type { Node, Value } from '../../ir/graph.ts'
import type { Tensor } from '../../ir/tensor.ts'
import { constantValue } from '../../ops/index.ts'
import { floatsOf } from '../compare-tensors.ts'

/** A Gather of rows of a constant float table: embeddings. */
export interface TableNode {
  readonly node: Node
  readonly indices: Value
  readonly source: Tensor
  readonly values: Float32Array
  readonly rows: number
  readonly depth: number
}

/** Whether a Gather reads a constant of two axes: others are no table, and nothing needs to be said about them. */
export function readsTable(node: Node): boolean {
  return node.domain === '' && node.opType === 'Gather' && constantValue(node.inputs[0])?.dims.length === 2
}

/** Reads the table of a Gather for which `readsTable` holds, or says why it can't be quantized. */
export function readTable(node: Node): TableNode | string {
  const [table, indices] = node.inputs
  const source = constantValue(table)
  const [rows = 0, depth = 0] = source?.dims ?? []
  if (table === undefined || indices === undefined || source === undefined) return 'its table is not constant'
  if (getInt(node, 'axis', 0) !== 0) return 'it does not gather rows'
  const values = source.dtype === 'float32' ? floatsOf(source) : undefined
  if (!(values instanceof Float32Array)) return `its table is ${source.dtype}`
  if (!values.every(Number.isFinite)) return 'its table is not finite'
  if (table.isGraphOutput || [...table.uses].some((use) => use.node.opType !== 'Gather'))
    return 'its table is also read as a whole, so the float one would have to stay'
  return { node, indices, source, values, rows, depth }
}
