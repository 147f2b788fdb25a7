import type { Node } from '../ir/graph.ts'
import type { Model } from '../ir/model.ts'
import type { BoundaryCosts } from './boundary.ts'
import { forecastLayers, type Forecast } from './forecast-layers.ts'
import type { KernelForm } from './kernel.ts'
import { describeLayers, layerNodes } from './layers.ts'
import type { KernelAdvice } from './oracle.ts'

export interface ForecastFacts {
  readonly model: Model
  readonly advice: KernelAdvice
  readonly form: KernelForm
  /** Whether a step changes a node. */
  readonly isChanged: (node: Node) => boolean
  readonly boundaries: BoundaryCosts
  /** The float model as timed on this host. */
  readonly modelMicros: number | undefined
}

/** What a form does to a model that is at hand, by its layers. */
export function forecastForm({ model, advice, form, isChanged, boundaries, modelMicros }: ForecastFacts): Forecast {
  const nodes = layerNodes(model.graph, (node) => advice.timesOf(node)?.['fp32'] ?? 0)
  const ask = <T>(index: number, answer: (node: Node) => T) => {
    const node = nodes[index]
    return node && answer(node)
  }
  return forecastLayers({
    layers: describeLayers(nodes, (node) => advice.kernelOf(node)),
    form,
    timesOf: (index) => ask(index, (node) => advice.timesOf(node)),
    isChanged: (index) => ask(index, isChanged) ?? false,
    boundaries,
    modelMicros,
  })
}
