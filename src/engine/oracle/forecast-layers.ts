import type { BoundaryCosts } from './boundary.ts'
import type { KernelTimes } from './cache.ts'
import { activationElements, kernelMacs, type Kernel, type KernelForm } from './kernel.ts'

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
  /** Of the whole model in float: as it was timed, else the sum of its known layers and a guess at the others. */
  readonly model_us: number
  readonly speedup: { readonly estimate: number; readonly low: number; readonly high: number }
}

/** A layer as a forecast sees it, without its model. JSON values. */
export interface Layer {
  /** Null where its sizes are not known. */
  readonly kernel: Kernel | null
  /** A number of the value it reads: the same for layers that read the same. */
  readonly reads: number
  /** Which layer makes that value; null where it is another node, or the caller. */
  readonly source: number | null
  readonly isModelInput: boolean
  /** The layers that read its result. */
  readonly readers: readonly number[]
  /** Whether another node reads it too, or nothing in the model. */
  readonly isReadElsewhere: boolean
  readonly isModelOutput: boolean
}

export interface LayerFacts {
  readonly layers: readonly Layer[]
  readonly form: KernelForm
  readonly timesOf: (layer: number) => KernelTimes | undefined
  /** Whether a step changes a layer. */
  readonly isChanged: (layer: number) => boolean
  readonly boundaries: BoundaryCosts
  /** The float model as timed on this host. */
  readonly modelMicros: number | undefined
}

/** Two measurements of a kernel differ by so much, and a kernel in a network from one by itself. */
const kernelDoubt = 0.15

/** Share of what is not convolutions and products that may go when it runs on integers. */
const restGain = 0.4

/** Where nobody timed the whole model, so much of it may be other nodes than its layers. */
const untimedShare = 0.25

interface TimedLayer {
  readonly index: number
  readonly float: number
  /** In the form; undefined for a layer that keeps its own. */
  readonly other: number | undefined
}

/** Sums the layers' times in both forms and the conversions between; what is not known widens the interval. */
export function forecastLayers(facts: LayerFacts): Forecast {
  const { layers, form, timesOf, isChanged } = facts
  const timed = [...layers.keys()].flatMap((index): TimedLayer[] => {
    const times = timesOf(index)
    const [float, other] = [times?.['fp32'], times?.[form]]
    return float == null ? [] : [{ index, float, other: other != null && isChanged(index) ? other : undefined }]
  })
  const changed = timed.filter(({ other }) => other !== undefined)
  const floatMicros = sum(changed.map(({ float }) => float))
  const formMicros = sum(changed.map(({ other = 0 }) => other))
  const known = sum(timed.map(({ float }) => float))
  const guessed = facts.modelMicros === undefined ? guessUntimed(layers, timed, known) : 0
  const modelMicros = Math.max(facts.modelMicros ?? known + guessed, floatMicros)
  const edges = conversionCosts(new Set(changed.map(({ index }) => index)), facts)
  const saved = floatMicros - formMicros
  const doubt = Math.abs(saved) * kernelDoubt
  const rest = changed.length === 0 || facts.modelMicros === undefined ? 0 : Math.max(0, modelMicros - known)
  const ratio = (whole: number, change: number) => whole / Math.max(whole + change, formMicros / 2, 1e-3)
  // At most as much beside the layers as usual and twice the guess; at least nothing.
  const isGuess = facts.modelMicros === undefined && changed.length > 0
  const most = isGuess ? (known + 2 * guessed) / (1 - untimedShare) : modelMicros
  const least = isGuess ? Math.max(known, floatMicros) : modelMicros
  const bounds = [
    ratio(most, doubt + edges.high - saved),
    ratio(least, doubt + edges.high - saved),
    ratio(most, edges.low - saved - doubt - rest * restGain),
    ratio(least, edges.low - saved - doubt - rest * restGain),
  ]
  return {
    form,
    layers: changed.length,
    unknown: layers.length - timed.length,
    float_us: floatMicros,
    form_us: formMicros,
    conversions_us: edges,
    model_us: modelMicros,
    speedup: {
      estimate: ratio(modelMicros, (edges.low + edges.high) / 2 - saved),
      low: Math.min(...bounds),
      high: Math.max(...bounds),
    },
  }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}

/** Layers that nobody timed take as long for their work as those that somebody did; without sizes, as the average one. */
function guessUntimed(layers: readonly Layer[], timed: readonly TimedLayer[], known: number): number {
  if (timed.length === 0) return 0
  const macsOf = (index: number) => {
    const kernel = layers[index]?.kernel
    return kernel == null ? 0 : kernelMacs(kernel)
  }
  const each = known / Math.max(1, sum(timed.map(({ index }) => macsOf(index))))
  const isTimed = new Set(timed.map(({ index }) => index))
  const others = [...layers.keys()].filter((index) => !isTimed.has(index))
  return sum(others.map((index) => (macsOf(index) === 0 ? known / timed.length : macsOf(index) * each)))
}

/** Conversions before and after the changed layers. Dynamic and packed forms convert inside their kernels. */
function conversionCosts(changed: ReadonlySet<number>, { layers, form, boundaries }: LayerFacts) {
  let [low, high] = [0, 0]
  if (!form.startsWith('qdq')) return { low, high }
  const converted = new Set<number>()
  for (const index of changed) {
    const layer = layers[index]
    if (layer?.kernel == null) continue
    const { read, made } = activationElements(layer.kernel)
    if (!converted.has(layer.reads) && !(layer.source !== null && changed.has(layer.source))) {
      const cost = boundaries.quantize(read) ?? 0
      high += cost
      if (layer.isModelInput) low += cost
    }
    converted.add(layer.reads)
    if (!layer.isReadElsewhere && layer.readers.every((reader) => changed.has(reader))) continue
    const cost = boundaries.dequantize(made) ?? 0
    high += cost
    if (layer.isModelOutput) low += cost
  }
  return { low, high }
}
