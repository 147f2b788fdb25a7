import type { Graph, Node, Value } from '../../ir/graph.ts'
import { valuesRead } from '../../ir/order.ts'
import type { InferredTypes } from '../../ops/index.ts'

/** y = x + f(x): what is between can be left out, since y has the form of x. */
export interface ResidualBlock {
  readonly input: Value
  readonly output: Value
  /** Everything that computes f, and the addition itself. */
  readonly nodes: ReadonlySet<Node>
}

/** Residual blocks of the main graph that nothing looks into from outside, in the order of the graph. */
export function findResidualBlocks(graph: Graph, types: InferredTypes): ResidualBlock[] {
  return [...graph.nodes].flatMap((node) => {
    if (node.opType !== 'Add' || node.domain !== '') return []
    const [first, second] = node.inputs
    if (first === undefined || second === undefined) return []
    // Where both sides compute something, the shorter way round is the block's input.
    return blockBetween(node, first, second, types) ?? blockBetween(node, second, first, types) ?? []
  })
}

function blockBetween(add: Node, input: Value, branch: Value, types: InferredTypes): ResidualBlock | undefined {
  const output = add.outputs[0] as Value
  if (output.isGraphOutput || isConstant(input) || !hasSameType(input, output, types)) return undefined
  const nodes = nodesBetween(input, branch)
  if (nodes === undefined || nodes.size === 0) return undefined
  const isInside = [...nodes].every((node) => node.outputs.every((value) => isReadOnlyBy(value, nodes, add)))
  return isInside ? { input, output, nodes: new Set([...nodes, add]) } : undefined
}

/** What computes `branch` from `input` and constants alone; undefined where it needs anything else. */
function nodesBetween(input: Value, branch: Value): Set<Node> | undefined {
  const nodes = new Set<Node>()
  const pending = [branch]
  let reached = false
  for (let value = pending.pop(); value !== undefined; value = pending.pop()) {
    if (value === input) reached = true
    if (value === input || value.initializer !== undefined) continue
    const { producer } = value
    if (producer === undefined) return undefined
    if (nodes.has(producer)) continue
    nodes.add(producer)
    pending.push(...valuesRead(producer))
  }
  return reached ? nodes : undefined
}

const isConstant = ({ initializer, producer }: Value) =>
  initializer !== undefined || (producer !== undefined && producer.inputs.length === 0)

function isReadOnlyBy(value: Value, nodes: ReadonlySet<Node>, add: Node): boolean {
  if (value.isGraphOutput) return false
  return [...value.uses].every(({ node }) => node === add || nodes.has(node))
}

function hasSameType(a: Value, b: Value, types: InferredTypes): boolean {
  const [left, right] = [types.of(a), types.of(b)]
  if (left?.dtype !== 'float32' || right?.dtype !== 'float32') return false
  if (left.dims === null || left.dims.length !== right.dims?.length) return false
  return left.dims.every((dim, axis) => dim !== null && dim === right.dims?.[axis])
}
