import type { Value } from '../../ir/graph.ts'
import { graphsWithin, type Model } from '../../ir/model.ts'
import { inferTypes } from '../../ops/index.ts'
import { adapters } from './adapters.ts'

/** Opset whose Quantize- and DequantizeLinear take an axis, and the newest one there are adapters for. */
const upgradedOpset = 13

const oldestOpset = 7

/**
 * Rewrites a model's nodes so that it means the same in opset 13; a newer one stays as it is. Constants must be
 * initializers already. Model functions keep their own opset.
 * @returns why the model can't be upgraded (it is then half rewritten: throw it away), or undefined
 */
export function upgradeOpset(model: Model): string | undefined {
  const from = model.opsetImports.get('') ?? 1
  if (from >= upgradedOpset) return undefined
  if (from < oldestOpset) return `the model is opset ${from}; adapters start at ${oldestOpset}`
  for (let version = from + 1; version <= upgradedOpset; version += 1) {
    const reason = adaptNodes(model, version)
    if (reason !== undefined) return `opset ${version}: ${reason}`
  }
  model.opsetImports.set('', upgradedOpset)
  // The first IR version released with opset 13.
  model.irVersion = Math.max(model.irVersion, 7)
  return undefined
}

function adaptNodes(model: Model, version: number): string | undefined {
  const types = inferTypes(model)
  const rankOf = (value: Value | undefined) => types.of(value)?.dims?.length
  for (const graph of graphsWithin(model.graph)) {
    for (const node of graph.nodes) {
      const adapt = node.domain === '' ? adapters[version]?.[node.opType] : undefined
      const reason = adapt?.(node, { graph, rankOf })
      if (reason !== undefined) return `${node.opType} '${node.name}': ${reason}`
    }
  }
  return undefined
}
