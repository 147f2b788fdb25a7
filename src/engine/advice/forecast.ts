import { fitBoundaries, probes } from '../oracle/boundary.ts'
import type { KernelTable, KernelTimes } from '../oracle/cache.ts'
import { forecastLayers, type Forecast, type Layer } from '../oracle/forecast-layers.ts'
import { isDepthwise, isSlower, keyOf, type KernelForm } from '../oracle/kernel.ts'
import { techniques } from './techniques.ts'

/** What times of kernels tell of a technique before it is tried. */
export interface KernelForecast {
  /** The form that layers get; null when nothing is known. */
  readonly form: KernelForm | null
  /** 2 = twice as fast. Null when nothing is known. */
  readonly speedup: Forecast['speedup'] | null
  /** Distinct kernels of the model: measured in float and in the form, and all of them. */
  readonly kernels: { readonly measured: number; readonly total: number }
  /** Where it comes from, or why there is none, in a sentence. */
  readonly basis: string
}

/** Names of everything whose times a forecast of these layers is made of. */
export function forecastKeys(layers: readonly Layer[]): string[] {
  return [
    ...new Set([...layers.flatMap(({ kernel }) => (kernel === null ? [] : [keyOf(kernel)])), ...probes.map(keyOf)]),
  ]
}

/** A forecast of each technique by times that hosts of one kind measured. */
export function forecastTechniques(layers: readonly Layer[], table: KernelTable): Map<string, KernelForecast> {
  return forEach((forms) => {
    const [first, ...others] = forms.map((form) => forecastForm(layers, table, form))
    // A job settles on the fastest form, and measures all kernels in that one only.
    const known = (forecast: KernelForecast) => forecast.kernels.measured
    return others.reduce(
      (best, other) => (known(other) > known(best) ? other : best),
      first ?? nothing('Nobody asked.'),
    )
  })
}

/** What to say of each technique where no times can be looked up. */
export function forecastNothing(reason: string): Map<string, KernelForecast> {
  return forEach(() => nothing(reason))
}

function forEach(forecast: (forms: readonly KernelForm[]) => KernelForecast): Map<string, KernelForecast> {
  return new Map(techniques.map(({ name, forms }) => [name, forms === undefined ? nothing(untimed) : forecast(forms)]))
}

const untimed = 'Nobody times what it changes kernel by kernel: only a job tells.'

function nothing(basis: string, total = 0): KernelForecast {
  return { form: null, speedup: null, kernels: { measured: 0, total }, basis }
}

function forecastForm(layers: readonly Layer[], table: KernelTable, form: KernelForm): KernelForecast {
  const timesOf = (index: number): KernelTimes | undefined => {
    const kernel = layers[index]?.kernel
    return kernel == null ? undefined : table[keyOf(kernel)]
  }
  const kernels = countKernels(layers, table, form)
  const { measured, total } = kernels
  if (total === 0) return nothing('There are no convolutions or products to time.')
  if (layers.every(({ kernel }) => kernel === null))
    return nothing('The sizes of its layers are open; a job finds them out: run one.', total)
  if (measured === 0) return nothing('Not measured yet on such a host: run one job.', total)
  const { speedup } = forecastLayers({
    layers,
    form,
    timesOf,
    isChanged: (index) => isChanged(layers[index], form, timesOf(index)),
    boundaries: fitBoundaries(table),
    modelMicros: undefined,
  })
  const basis = `From ${measured} of ${total} kernels measured on such a host; nodes between them are not timed.`
  return { form, speedup, kernels, basis }
}

/** Kernels that several layers share count once, a layer without sizes by itself. */
function countKernels(layers: readonly Layer[], table: KernelTable, form: KernelForm): KernelForecast['kernels'] {
  const keys = new Set(layers.flatMap(({ kernel }) => (kernel === null ? [] : [keyOf(kernel)])))
  const measured = [...keys].filter((key) => table[key]?.['fp32'] != null && table[key]?.[form] !== undefined)
  return { measured: measured.length, total: keys.size + layers.filter(({ kernel }) => kernel === null).length }
}

/** As passes do: what the form slows down keeps its own. */
function isChanged(layer: Layer | undefined, form: KernelForm, times: KernelTimes | undefined): boolean {
  if (layer?.kernel == null) return false
  const [float, other] = [times?.['fp32'], times?.[form]]
  if (float == null || other == null || isSlower(other, float)) return false
  return layer.kernel.op !== 'Conv' || (form !== 'dynamic' && !isDepthwise(layer.kernel))
}
