import { HastenError } from '../../errors.ts'
import type { Node, Value } from '../ir/graph.ts'
import { valuesRead } from '../ir/order.ts'
import { opDefinition } from '../ops/index.ts'
import { isFloat } from './float-tensor.ts'
import type { Emitter } from './emitter.ts'

/** Values that depend on a wanted one, each with the value it depends on it through (itself for a wanted one). */
export type Activity = ReadonlyMap<Value, Value>

/** Follows the wanted values forward, in `order`, through every node that lets gradients back. */
export function findActive(
  order: readonly Node[],
  wanted: readonly Value[],
  emit: Emitter,
  isFrozen: (node: Node) => boolean,
): Activity {
  const active = new Map(wanted.map((value) => [value, value]))
  for (const node of order) {
    const through = activeInput(node, active)
    if (through === undefined || isFrozen(node)) continue
    for (const output of node.outputs) {
      if (output.name !== '' && !active.has(output) && hasGradient(output, node, emit)) active.set(output, through)
    }
  }
  return active
}

/** The first active value that a node reads, itself or in a subgraph. */
export function activeInput(node: Node, active: Activity): Value | undefined {
  for (const value of valuesRead(node)) if (active.has(value)) return value
  return undefined
}

// A quantized value has the gradient of the float it stands for: the straight-through estimator passes it on.
function hasGradient(output: Value, node: Node, emit: Emitter): boolean {
  const { dtype } = emit.type(output)
  if (isFloat(dtype)) return true
  if (node.opType === 'QuantizeLinear') return true
  const [first] = node.inputs
  return isQuantized(first) && opDefinition(node)?.movesData === true
}

function isQuantized(value: Value | undefined): boolean {
  for (let node = value?.producer; node !== undefined; node = node.inputs[0]?.producer) {
    if (node.opType === 'QuantizeLinear') return true
    if (opDefinition(node)?.movesData !== true) return false
  }
  return false
}

const maxPathNodes = 8

/** @throws HastenError `not_differentiable` that names the node and the way from a wanted value to it */
export function refuseNode(node: Node, active: Activity, reason: string): never {
  const nodes: string[] = []
  let value = activeInput(node, active)
  for (let next = value && active.get(value); value !== next; next = value && active.get(value)) {
    nodes.unshift(value?.producer?.name ?? '')
    value = next
  }
  const shown = nodes.length > maxPathNodes ? [...nodes.slice(0, maxPathNodes - 1), '…'] : nodes
  const path = [`'${value?.name}'`, ...shown, node.name].join(' → ')
  const what = `${node.domain === '' ? '' : `${node.domain}.`}${node.opType} node '${node.name}'`
  throw new HastenError('not_differentiable', `${what} ${reason}; it lies on the path ${path} → loss`)
}
