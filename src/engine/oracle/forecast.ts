import { subgraphsOf } from '../ir/attribute.ts'
import type { Graph, Node, Value } from '../ir/graph.ts'
import type { Model } from '../ir/model.ts'
import type { BoundaryCosts } from './boundary.ts'
import { activationElements, type KernelForm } from './kernel.ts'
import type { KernelAdvice } from './oracle.ts'

/** What a form is expected to do to a model on this host, before it is made. Times are microseconds of one run. */
export interface Forecast {
  readonly form: KernelForm
  /** Layers that the form is expected to change. */
  readonly layers: number
  /** Convolutions and products whose times are not known. */
  readonly unknown: number
  /** Of those layers, in float and in the form. */
  readonly float_us: number
  readonly form_us: number
  /** Conversions at the edges: if nodes between int8 layers follow in integers, and if none does. */
  readonly conversions_us: { readonly low: number; readonly high: number }
  /** Of the whole model in float: as it was timed, else the sum of its known layers. */
  readonly model_us: number
  readonly speedup: { readonly estimate: number; readonly low: number; readonly high: number }
}

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

const layerOps = new Set(['Conv', 'MatMul', 'Gemm'])

/** Two measurements of a kernel differ by so much, and a kernel in a network from one by itself. */
const kernelDoubt = 0.15

/** Share of what is not convolutions and products that may go when it runs on integers. */
const restGain = 0.4

/** Sums the layers' times in both forms and the conversions between; what is not known widens the interval. */
export function forecastForm(facts: ForecastFacts): Forecast {
  const { model, advice, form, isChanged } = facts
  const nodes = layersOf(model.graph, (node) => advice.timesOf(node)?.['fp32'] ?? 0)
  const timed = nodes.flatMap((node) => {
    const times = advice.timesOf(node)
    const [float, other] = [times?.['fp32'], times?.[form]]
    return float == null ? [] : [{ node, float, other: other != null && isChanged(node) ? other : undefined }]
  })
  const changed = timed.filter(({ other }) => other !== undefined)
  const sum = (values: readonly (number | undefined)[]) =>
    values.reduce<number>((total, value) => total + (value ?? 0), 0)
  const floatMicros = sum(changed.map(({ float }) => float))
  const formMicros = sum(changed.map(({ other }) => other))
  const known = sum(timed.map(({ float }) => float))
  const modelMicros = Math.max(facts.modelMicros ?? known, floatMicros)
  const edges = conversionCosts(new Set(changed.map(({ node }) => node)), facts)
  const saved = floatMicros - formMicros
  const doubt = Math.abs(saved) * kernelDoubt
  const rest = changed.length === 0 ? 0 : Math.max(0, modelMicros - known)
  const after = (micros: number) => modelMicros / Math.max(micros, formMicros / 2, 1e-3)
  return {
    form,
    layers: changed.length,
    unknown: nodes.length - timed.length,
    float_us: floatMicros,
    form_us: formMicros,
    conversions_us: edges,
    model_us: modelMicros,
    speedup: {
      estimate: after(modelMicros - saved + (edges.low + edges.high) / 2),
      low: after(modelMicros - saved + doubt + edges.high),
      high: after(modelMicros - saved - doubt + edges.low - rest * restGain),
    },
  }
}

/** The layers of one run: of the branches of an If the costliest, since only one runs; the body of a loop once. */
function layersOf(graph: Graph, costOf: (node: Node) => number): Node[] {
  const cost = (nodes: readonly Node[]) => nodes.reduce((total, node) => total + costOf(node), 0)
  return [...graph.nodes].flatMap((node) => {
    if (node.domain !== '') return []
    if (layerOps.has(node.opType)) return [node]
    const inside = [...subgraphsOf(node)].map((subgraph) => layersOf(subgraph, costOf))
    return inside.toSorted((a, b) => cost(b) - cost(a))[0] ?? []
  })
}

/** Conversions before and after the changed layers. Dynamic and packed forms convert inside their kernels. */
function conversionCosts(changed: ReadonlySet<Node>, { advice, form, boundaries }: ForecastFacts) {
  let [low, high] = [0, 0]
  if (!form.startsWith('qdq')) return { low, high }
  const converted = new Set<Value>()
  for (const node of changed) {
    const kernel = advice.kernelOf(node)
    const [input, output] = [node.inputs[0], node.outputs[0]]
    if (kernel === undefined || input === undefined || output === undefined) continue
    const { read, made } = activationElements(kernel)
    if (!converted.has(input) && !(input.producer !== undefined && changed.has(input.producer))) {
      const cost = boundaries.quantize(read) ?? 0
      high += cost
      if (input.producer === undefined) low += cost
    }
    converted.add(input)
    const readers = [...output.uses].map((use) => use.node)
    if (readers.length > 0 && readers.every((reader) => changed.has(reader))) continue
    const cost = boundaries.dequantize(made) ?? 0
    high += cost
    if (output.isGraphOutput || readers.length === 0) low += cost
  }
  return { low, high }
}
