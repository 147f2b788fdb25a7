import type { Value } from '../../ir/graph.ts'
import { graphsWithin, type Model } from '../../ir/model.ts'
import { inferTypes } from '../../ops/index.ts'
import { adapters } from './adapters.ts'

/** Opset whose Quantize- and DequantizeLinear take an axis. */
const perChannelOpset = 13

const oldestOpset = 7

/** The newest opset that there are adapters for. */
const newestOpset = 22

/** The first IR version released with an opset, by the first opset it came with. */
const irVersions: readonly (readonly [opset: number, irVersion: number])[] = [
  [21, 10],
  [19, 9],
  [15, 8],
  [12, 7],
  [11, 6],
  [0, 5],
]

/**
 * Rewrites a model's nodes so that it means the same in opset `target`, 7 to 22; a newer one stays as it is. Constants
 * must be initializers already. Model functions keep their own.
 * @returns why the model can't be upgraded (it is then half rewritten: throw it away), or undefined
 */
export function upgradeOpset(model: Model, target: number = perChannelOpset): string | undefined {
  const from = model.opsetImports.get('') ?? 1
  if (from >= target) return undefined
  if (from < oldestOpset) return `the model is opset ${from}; adapters start at ${oldestOpset}`
  if (target > newestOpset) return `there are no adapters beyond opset ${newestOpset}`
  for (let version = from + 1; version <= target; version += 1) {
    const reason = adaptNodes(model, version)
    if (reason !== undefined) return `opset ${version}: ${reason}`
    // Inference reads some operators by the version of the model.
    model.opsetImports.set('', version)
  }
  const [, irVersion] = irVersions.find(([opset]) => target >= opset) ?? [0, 5]
  model.irVersion = Math.max(model.irVersion, irVersion)
  return undefined
}

function adaptNodes(model: Model, version: number): string | undefined {
  const types = inferTypes(model)
  const dimsOf = (value: Value | undefined) => types.of(value)?.dims ?? undefined
  for (const graph of graphsWithin(model.graph)) {
    for (const node of graph.nodes) {
      const adapt = node.domain === '' ? adapters[version]?.[node.opType] : undefined
      const reason = adapt?.(node, { graph, dimsOf })
      if (reason !== undefined) return `${node.opType} '${node.name}': ${reason}`
    }
  }
  return undefined
}
