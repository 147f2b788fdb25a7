/** What a metric's number counts, and so which units a gate may give it. */
export type Dimension = 'fraction' | 'plain' | 'time' | 'bytes' | 'rate' | 'ratio' | 'decibel'

interface MetricRow {
  readonly dimension: Dimension
  /** False where the metric itself compares with the baseline, which then has no value of its own. */
  readonly hasBaseline: boolean
}

const ofModel = (dimension: Dimension): MetricRow => ({ dimension, hasBaseline: true })
const ofPair = (dimension: Dimension): MetricRow => ({ dimension, hasBaseline: false })

/** Every metric a gate can name. */
export const gateMetrics = {
  top1: ofModel('fraction'),
  top5: ofModel('fraction'),
  f1: ofModel('fraction'),
  mae: ofModel('plain'),
  mse: ofModel('plain'),
  agreement: ofPair('fraction'),
  cosine: ofPair('fraction'),
  max_abs: ofPair('plain'),
  sqnr: ofPair('decibel'),
  kl: ofPair('plain'),
  p50: ofModel('time'),
  p90: ofModel('time'),
  p95: ofModel('time'),
  p99: ofModel('time'),
  throughput: ofModel('rate'),
  fps: ofModel('rate'),
  size: ofModel('bytes'),
  memory: ofModel('bytes'),
  cold_start: ofModel('time'),
  speedup: ofPair('ratio'),
} as const satisfies Record<string, MetricRow>

export type GateMetric = keyof typeof gateMetrics

export function isGateMetric(name: string): name is GateMetric {
  return Object.hasOwn(gateMetrics, name)
}

/**
 * Factors from each unit to the dimension's own (milliseconds, bytes, decibels, plain numbers). The empty unit is
 * missing where a bare number would be ambiguous.
 */
export const dimensionUnits = {
  fraction: { '': 1, '%': 0.01 },
  plain: { '': 1 },
  time: { us: 0.001, ms: 1, s: 1000 },
  bytes: { B: 1, KB: 1e3, MB: 1e6, GB: 1e9, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30 },
  rate: { '': 1 },
  ratio: { '': 1, x: 1, '%': 0.01 },
  decibel: { '': 1, dB: 1 },
} as const satisfies Record<Dimension, Readonly<Record<string, number>>>
